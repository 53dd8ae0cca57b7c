// Liveness only: every page works without it.
(function () {
  'use strict';
  var link = document.getElementById('link');
  function say(state, text) {
    if (!link) return;
    link.hidden = false;
    link.dataset.state = state;
    var words = link.querySelector('.link-text');
    if (words.textContent !== text) words.textContent = text;
  }
  document.body.addEventListener('htmx:sseOpen', function () { say('live', 'Live'); });
  document.body.addEventListener('htmx:sseError', function () { say('lost', 'Reconnecting'); });
  var atEnd = false;
  function nearEnd() {
    return window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 160;
  }
  document.body.addEventListener('htmx:sseBeforeMessage', function (event) {
    atEnd = nearEnd();
    // After a lost connection a message may come once more: each is shown once.
    if (event.target.id === 'feed' && document.getElementById('n-' + event.detail.lastEventId)) {
      event.preventDefault();
    }
  });
  document.body.addEventListener('htmx:sseMessage', function (event) {
    var nothing = document.getElementById('nothing');
    if (event.target.id === 'feed' && nothing) nothing.remove();
    if (event.target.id === 'feed' && atEnd) {
      document.getElementById('latest').scrollIntoView({ block: 'end' });
    }
    var tail = event.target.id === 'tail' && event.target.querySelector('pre');
    if (tail) tail.scrollTop = tail.scrollHeight;
  });
})();
