//! The words that the rules of routing know, by what they do in a sentence.
//!
//! English only. All in lower case; verbs in their base form unless the list says otherwise.

/// The verb of "fixes", "writes".
pub(super) fn third_person(verb: &str) -> Option<&str> {
    let base = verb.strip_suffix('s')?;
    [Some(base), base.strip_suffix('e')].into_iter().flatten().find(|base| has(VERBS, base))
}

/// The verb of "showing", "giving", when the list has it.
pub(super) fn of_gerund(list: &[&'static str], word: &str) -> Option<&'static str> {
    let stem = word.strip_suffix("ing")?;
    list.iter().find(|verb| **verb == stem || verb.strip_suffix('e') == Some(stem)).copied()
}

/// Whether the list has this word.
pub(super) fn has(list: &[&str], word: &str) -> bool {
    #[cfg(test)]
    super::work::count();
    list.contains(&word)
}

/// Stands in a text for a lane that is named.
pub(super) const LANE: &str = "<lane>";
/// Stands in a text for a quotation or pasted lines, and for a path.
pub(super) const QUOTE: &str = "<quote>";

/// What makes a role's word a lane's name; "DP" is what dictation makes of it.
pub(super) const DESIGNATORS: &[&str] = &["vp", "dp"];
/// Before "VP": a person's rank.
pub(super) const RANKS: &[&str] = &[
    "senior", "executive", "assistant", "associate", "regional", "sales", "marketing", "finance", "product",
    "engineering", "former", "ex", "acting", "group", "sr", "deputy", "elected", "corporate", "client",
];

/// Begin a request and change nothing of it.
pub(super) const SOFT: &[&str] = &[
    "please", "pls", "plz", "kindly", "just", "now", "then", "and", "so", "also", "ok", "okay", "hey", "hi", "hello",
    "yo", "simone", "well", "alright", "right", "great", "thanks", "cool", "perfect", "first", "second", "next",
    "finally", "lastly", "instead", "maybe", "perhaps", "actually", "again", "today", "tonight", "tomorrow", "quickly",
    "immediately", "directly", "definitely", "explicitly", "anyway", "but", "yes", "yeah", "yep", "sure", "no", "nope",
    "nah", "oh", "um", "uh", "hmm", "good", "morning", "afternoon", "evening", "dear", "later", "meanwhile",
    "afterwards", "afterward", "additionally", "furthermore", "otherwise", "specifically", "simply", "only", "once",
    "asap", "urgent", "urgently", "fine", "or", "either", "still", "really", "rather", "better", "best", "always",
    "thx", "ty", "lol", "omg", "everyone", "friend", "there", "because", "since", "though", "however", "therefore", "hence",
    "all", "together", "importantly", "reminder", "note", "todo", "quick", "hurry", "emergency", "woah", "whoa", "wow", "argh", "ugh", "damn", "gosh", "jeez", "hm",
];

/// Before a name: part of it.
pub(super) const ARTICLES: &[&str] = &[
    "the", "our", "my", "your", "a", "an", "this", "that", "both", "either", "another", "one", "good", "old", "trusty",
    "same", "new", "other", "dedicated", "available", "existing", "last", "latest", "previous", "current", "named", "called", "mr", "dear", "all", "completed",
    "ongoing",
];

/// Directly before a lane: it is to do something ("have CODIE", "ask CODIE", "give CODIE this").
pub(super) const CAUSE: &[&str] = &[
    "use", "have", "ask", "tell", "get", "let", "make", "want", "need", "instruct", "order", "direct", "task",
    "request", "invite", "employ", "engage", "leverage", "utilize", "utilise", "call", "invoke", "launch", "start",
    "summon", "enlist", "assign", "delegate", "trust", "involve", "choose", "pick", "select", "prefer", "like", "love",
    "consult", "contact", "message", "ping", "give", "send", "hand", "put", "set", "brief", "pass", "dispatch", "run",
    "activate", "trigger", "wake", "command", "commission", "hire", "try", "prompt", "spawn", "mobilize", "mobilise",
    "appoint", "charge", "recruit", "notify", "deploy", "queue", "kick", "unleash", "sic", "loose", "turn", "throw", "point", "aim",
    "focus", "release", "steer", "stick",
];
/// Let go at its work: "turn CODIE loose on it", "point CODIE at it".
pub(super) const RELEASE: &[&str] =
    &["unleash", "sic", "loose", "turn", "throw", "point", "aim", "focus", "release", "steer", "stick"];
/// The same in the form that follows "mind", "about", "I am".
pub(super) const CAUSING: &[&str] = &[
    "using", "having", "asking", "telling", "getting", "letting", "making", "giving", "sending", "handing", "assigning",
    "delegating", "putting", "tasking", "passing", "routing", "forwarding", "dispatching", "instructing", "calling",
    "leaving", "directing", "offloading", "outsourcing", "entrusting", "requesting",
];
/// Verbs of wishing: only of the speaker.
pub(super) const WISH: &[&str] = &["want", "need", "like", "love", "prefer", "wish", "rather"];

/// Two and three words that do the same, right before a lane.
pub(super) const CAUSE_PHRASES: &[&[&str]] = &[
    &["call", "on"], &["call", "upon"], &["call", "in"], &["bring", "in"], &["bring", "on"], &["go", "with"],
    &["rely", "on"], &["spin", "up"], &["fire", "up"], &["start", "up"], &["reach", "out", "to"], &["switch", "to"],
    &["switch", "over", "to"], &["turn", "to"], &["loop", "in"], &["pull", "in"], &["make", "use", "of"],
    &["hand", "off", "to"], &["hand", "over", "to"], &["work", "with"], &["coordinate", "with"], &["count", "on"],
    &["team", "up", "with"], &["kick", "off"], &["stand", "up"], &["wake", "up"], &["partner", "with"],
    &["proceed", "with"], &["go", "through"], &["go", "via"], &["check", "in", "with"], &["queue", "up"],
    &["set", "up"], &["go", "ahead", "with"], &["over", "to"], &["make", "it"], &["go", "for"], &["check", "with"], &["collaborate", "with"], &["default", "to"], &["put", "in"],
];

/// Something is given to a lane ("send this to CODIE").
pub(super) const TRANSFER: &[&str] = &[
    "send", "give", "assign", "delegate", "hand", "pass", "route", "dispatch", "forward", "outsource", "offload",
    "kick", "throw", "farm", "submit", "push", "leave", "transfer", "escalate", "direct", "refer", "entrust",
    "allocate", "bounce", "move", "turn", "shift", "queue", "relay", "hand-off", "punt", "shoot", "toss", "redirect",
    "reassign", "issue", "feed", "devolve", "commit", "deliver", "drop", "ship", "post", "switch", "address",
    "schedule", "fire", "slide", "handoff", "get", "shove", "lob", "chuck", "sling", "funnel", "channel", "hurl",
];
/// What is a lane's own, and stands for the lane as the one who is given work: "on CODIE's plate".
pub(super) const PLACES: &[&str] = &[
    "lap", "hands", "plate", "queue", "court", "inbox", "desk", "tray", "pile", "list", "backlog", "stack", "care", "table",
    "shoulders", "door", "doorstep", "feet", "corner", "workload", "todo",
];
/// The same as what is done with it ("I want this sent to CODIE", "to be handled by CODIE").
pub(super) const DONE_BY: &[&str] = &[
    "sent", "given", "assigned", "delegated", "handed", "passed", "routed", "dispatched", "forwarded", "outsourced",
    "offloaded", "submitted", "pushed", "left", "transferred", "escalated", "directed", "referred", "entrusted",
    "allocated", "moved", "turned", "shifted", "queued", "done", "handled", "written", "fixed", "built", "made",
    "reviewed", "created", "implemented", "executed", "run", "completed", "processed", "performed", "drafted",
    "prepared", "researched", "produced", "checked", "refactored", "coded", "developed", "investigated", "solved",
    "finished", "tackled", "addressed", "covered", "redirected", "reassigned", "managed", "worked", "designed",
    "tested", "summarized", "analyzed", "generated",
];

/// What people ask to be done, in the form of a request.
pub(super) const VERBS: &[&str] = &[
    "write", "create", "make", "build", "fix", "refactor", "draft", "compose", "research", "investigate", "analyze",
    "analyse", "summarize", "summarise", "implement", "develop", "design", "code", "program", "test", "debug", "review",
    "audit", "check", "verify", "validate", "update", "upgrade", "migrate", "port", "convert", "translate", "rewrite",
    "edit", "proofread", "clean", "cleanup", "format", "lint", "optimize", "optimise", "improve", "speed", "profile",
    "benchmark", "measure", "deploy", "release", "publish", "ship", "install", "configure", "setup", "set", "prepare",
    "plan", "organize", "organise", "schedule", "book", "order", "buy", "find", "search", "look", "browse", "scrape",
    "crawl", "collect", "gather", "compile", "list", "compare", "evaluate", "assess", "estimate", "calculate",
    "compute", "count", "sort", "generate", "produce", "render", "draw", "paint", "sketch", "record", "read", "open",
    "explain", "describe", "document", "comment", "annotate", "outline", "brainstorm", "think", "propose", "suggest",
    "recommend", "send", "email", "mail", "post", "tweet", "reply", "respond", "answer", "call", "contact", "notify",
    "remind", "tell", "ask", "give", "show", "get", "fetch", "pull", "push", "merge", "rebase", "commit", "branch",
    "tag", "close", "triage", "label", "add", "remove", "delete", "drop", "rename", "move", "copy", "extract", "split",
    "combine", "join", "replace", "swap", "change", "modify", "adjust", "tune", "tweak", "extend", "reduce", "shrink",
    "simplify", "cut", "handle", "take", "do", "run", "execute", "start", "begin", "finish", "complete", "continue",
    "resume", "try", "retry", "repeat", "redo", "help", "work", "tackle", "solve", "resolve", "process", "monitor",
    "watch", "track", "report", "present", "turn", "bring", "put", "keep", "use", "have", "let", "go", "figure", "come",
    "dig", "scan", "parse", "load", "export", "import", "backup", "restore", "archive", "upload", "download", "sync",
    "train", "transcribe", "dub", "cook", "invent", "imagine", "narrate", "craft", "pitch", "reproduce", "isolate",
    "patch", "hotfix", "bump", "pin", "vendor", "wire", "hook", "connect", "integrate", "expose", "secure", "harden",
    "encrypt", "rotate", "reset", "restart", "reboot", "kill", "stop", "cancel", "abort", "terminate", "pause",
    "inspect", "examine", "study", "learn", "survey", "interview", "polish", "finalize", "finalise", "assemble",
    "model", "simulate", "visualize", "visualise", "plot", "chart", "graph", "map", "fill", "sign", "submit", "apply",
    "approve", "reject", "negotiate", "arrange", "coordinate", "manage", "lead", "own", "cover", "address", "attempt",
    "please", "deliver", "share", "save", "store", "script", "automate", "scaffold", "bootstrap", "dockerize",
    "containerize", "package", "bundle", "minify", "query", "index", "rank", "score", "classify", "cluster", "predict",
    "forecast", "unblock", "revert", "roll", "rerun", "recreate", "rebuild", "reformat", "reorganize", "restructure",
    "spell", "spellcheck", "fact", "double", "quickly", "synthesize", "digest", "condense", "expand", "enhance",
    "critique", "grade", "curate", "source", "cite", "quote", "price", "quantify", "handcraft", "mock", "stub",
    "instrument", "log", "trace", "grep", "diff", "squash", "cherry", "stage", "seed", "populate", "dedupe",
    "deduplicate", "normalize", "normalise", "sanitize", "escape", "encode", "decode", "compress", "decompress", "zip",
    "unzip", "attach", "deal", "repair", "mend", "chase", "rework", "revise", "redesign", "revamp", "provision", "wrap", "streamline",
];

/// Stop a mission.
pub(super) const CANCEL: &[&str] = &[
    "cancel", "stop", "abort", "kill", "halt", "terminate", "scrap", "interrupt", "quit", "cease", "end", "nix", "abandon",
    "discontinue", "desist",
];
/// Ask how it stands.
pub(super) const INSPECT: &[&str] = &[
    "check", "show", "list", "give", "get", "tell", "report", "see", "view", "look", "find", "update", "know", "hear",
    "inform", "display", "fetch", "monitor", "track", "ping", "print", "follow", "watch", "share", "provide", "send",
    "ask", "gimme", "notify", "alert", "peek", "glance", "confirm", "advise", "furnish", "apprise", "indicate",
    "enquire", "inquire",
];
/// Ask for what came of it.
pub(super) const OBTAIN: &[&str] = &[
    "read", "show", "open", "fetch", "get", "give", "bring", "display", "print", "summarize", "summarise", "see",
    "view", "download", "send", "list", "pull", "email", "forward", "tell", "share", "find", "present", "retrieve",
    "grab", "load", "want", "need", "look", "paste", "review", "collect", "know", "check", "quote", "hand", "dump", "copy",
    "recap", "gimme", "explain", "walk", "sum", "compare", "remind", "repeat", "cat", "tail", "save", "export", "attach", "post", "throw", "furnish", "provide",
];

/// How it stands.
pub(super) const STATUS: &[&str] = &[
    "status", "progress", "state", "eta", "queue", "queued", "doing", "going", "working", "done", "finished", "busy",
    "update", "updates", "news", "word", "free", "idle", "available", "alive", "up", "running", "online", "stuck",
    "health", "load", "ready", "complete", "completed", "finish", "coming", "getting", "far", "along", "missions",
    "backlog", "workload", "active", "happening", "occupied", "offline", "down", "started", "start", "waiting",
    "healthy", "blocked", "statuses", "there", "live",
];
/// What it delivers.
pub(super) const RESULTS: &[&str] = &[
    "result", "results", "outcome", "outcomes", "output", "outputs", "report", "reports", "artifact", "artifacts", "artefact", "artefacts",
    "deliverable", "deliverables", "product", "products", "file", "files", "story", "answer", "findings", "patch",
    "summary", "receipt", "receipts", "log", "logs", "writeup", "response", "reply", "deliveries", "document", "draft",
    "essay", "poem", "diff", "analysis", "conclusion", "conclusions", "numbers", "figures", "notes", "slides", "deck",
    "pr", "prs", "memo", "proposal", "recommendations", "suggestions", "commits", "screenshot", "screenshots", "translation",
    "spreadsheet", "itinerary", "shortlist", "verdict", "changes", "text", "transcript", "solution", "gist", "tl;dr", "tldr", "rundown",
    "highlights", "implementation",
];
/// What it is at.
pub(super) const WORK: &[&str] = &[
    "mission", "missions", "task", "tasks", "job", "jobs", "run", "runs", "attempt", "attempts", "assignment",
    "assignments", "work",
];
/// Makes something, in the forms of a question about the past.
pub(super) const MADE: &[&str] = &[
    "produce", "produced", "deliver", "delivered", "write", "wrote", "written", "find", "found", "make", "made", "say",
    "said", "answer", "answered", "return", "returned", "output", "create", "created", "build", "built", "come", "came",
    "get", "got", "give", "gave", "send", "sent", "conclude", "concluded", "discover", "discovered", "generate",
    "generated", "change", "changed", "leave", "left", "hand", "fix", "fixed", "do", "did", "done", "suggest",
    "suggested", "recommend", "report", "reported", "turned", "yielded", "uncovered", "learned",
];
/// Did something, of verbs that do not end in "ed".
pub(super) const PAST: &[&str] = &[
    "made", "wrote", "found", "said", "built", "came", "got", "gave", "sent", "left", "did", "drew", "ran", "put", "took", "dug",
    "chose", "cut", "set", "shot", "spun", "threw", "brought", "kept",
];
/// What belongs to the program that we are, not to its work: "the coder VP class".
pub(super) const THINGS: &[&str] = &[
    "class", "config", "configuration", "settings", "setting", "module", "code", "codebase", "prompt", "prompts",
    "docs", "documentation", "routing", "router", "table", "name", "names", "branch", "tests", "test", "alias",
    "aliases", "feature", "features", "section", "page", "profile", "architecture", "implementation", "logo", "icon",
    "readme", "concept", "idea", "pattern", "role", "repo", "repository", "directory", "folder", "service", "process",
    "container", "dashboard", "panel", "tab", "button", "endpoint", "api", "schema", "struct", "function", "consumer",
    "credentials", "token", "tokens", "key", "keys", "budget", "costs", "cost", "pricing", "bug", "bugs", "issue",
    "issues", "policy", "rules", "phrase", "phrases", "word", "string", "variable", "flag", "constant", "lane's",
    "candidate", "position", "salary", "ads", "account", "subscription", "license", "meeting", "workers", "worker", "workspace", "workspaces", "model", "persona",
    "personality", "template", "templates", "instructions", "description", "host", "server", "unit", "handler",
];
/// Had together with somebody, or done for a machine: no work of his.
pub(super) const SOCIAL: &[&str] = &[
    "meeting", "call", "lunch", "dinner", "appointment", "chat", "interview", "date", "coffee", "party", "maintenance", "downtime",
];
/// Given to a lane, and no work.
pub(super) const NO_WORK: &[&str] = &[
    "break", "rest", "raise", "thanks", "regards", "credit", "kudos", "star", "access", "permission", "permissions",
    "hint", "number", "key", "keys", "memory", "benefit", "password", "money", "budget", "address", "phone", "gift", "present",
    "coffee", "lift", "ride", "hug", "time", "chance", "hello", "hi", "thank", "congrats", "compliments", "love", "cookie", "medal", "name",
];
/// A piece of work, before "for CODIE".
pub(super) const PIECE: &[&str] = &[
    "task", "job", "mission", "one", "work", "assignment", "request", "order", "this", "project", "ticket", "todo",
    "tasks", "missions", "jobs", "something", "it", "question", "brief", "objective", "errand", "gig", "chore", "these",
    "those", "item",
];

/// Begin a question.
pub(super) const WH: &[&str] = &[
    "what", "how", "when", "where", "which", "who", "whose", "why", "what'll", "what'd", "whats", "hows", "wheres",
    "whos", "whom", "what's", "how's", "where's", "who's", "when's", "why's", "what're",
];
/// Begin a question about a fact.
pub(super) const AUX: &[&str] = &[
    "did", "has", "have", "is", "are", "was", "were", "does", "do", "had", "isn't", "hasn't", "didn't", "aren't",
    "wasn't", "doesn't", "haven't", "don't", "am", "didnt", "hasnt", "isnt",
];
/// Begin a request that is put as a question.
pub(super) const MODAL: &[&str] = &[
    "can", "could", "would", "will", "may", "might", "can't", "couldn't", "won't", "wouldn't",
];
/// After a lane: it is to do something.
pub(super) const MUST: &[&str] = &[
    "should", "must", "ought", "needs", "need", "has", "have", "is", "shall", "can", "could", "may", "might", "will",
    "gets", "would", "are", "gotta",
];
/// Refuse what follows.
pub(super) const NOT: &[&str] = &[
    "don't", "dont", "not", "never", "without", "avoid", "skip", "nor", "neither", "no", "except", "excluding",
    "cannot", "can't", "shouldn't", "mustn't", "won't", "wouldn't", "couldn't", "needn't", "isn't", "aren't", "doesn't",
    "ain't", "shouldnt", "wont", "cant", "hardly", "nobody", "nothing", "didn't", "refrain", "ignore", "bypass",
    "unlike", "besides", "forbid",
];
/// Subjects that are not asking us.
pub(super) const OTHERS: &[&str] = &[
    "he", "she", "they", "people", "someone", "somebody", "users", "who", "which", "that", "team", "folks", "everybody",
    "boss", "it", "developers", "engineers", "customers", "clients", "others", "one",
];
/// In front of a verb: it is told about, not asked for.
pub(super) const TELLING: &[&str] = &[
    "how", "whether", "if", "when", "whenever", "usually", "often", "sometimes", "normally", "typically", "previously",
    "yesterday", "used", "did", "was", "were", "had", "been", "supposed", "tried", "unless", "until", "why", "what",
    "where", "said", "says", "told", "suggested", "suggests", "recommended", "recommends", "mentioned", "wrote",
    "asked", "thinks", "insisted", "claims", "claimed", "reads", "who", "which", "like", "called", "named", "phrase",
    "sentence", "word", "words", "saying", "say", "failed", "because", "example", "instance", "e.g", "i.e", "such",
];
/// Begin what is said before the request itself ("for this, use ...").
pub(super) const PREPOSITIONS: &[&str] = &[
    "for", "in", "on", "with", "to", "after", "before", "regarding", "about", "as", "given", "since", "from", "at",
    "by", "during", "due", "based", "considering", "concerning", "re", "per", "using", "once", "upon", "when", "while",
    "of",
];
/// Polite, not a condition.
pub(super) const POLITE_IF: &[&str] = &[
    "possible", "you", "needed", "necessary", "so", "ok", "okay", "i", "that's", "it's", "not", "we", "appropriate",
    "feasible", "anything", "applicable", "convenient", "allowed", "you'd", "you're",
];

/// Stopped, of a mission.
pub(super) const CANCELLED: &[&str] =
    &["cancelled", "canceled", "stopped", "aborted", "killed", "halted", "terminated", "scrapped", "interrupted", "ended", "shut"];
/// Stopping one.
pub(super) const CANCELLING: &[&str] = &["cancelling", "canceling", "stopping", "aborting", "killing", "halting", "terminating"];
/// Begin a piece of work.
pub(super) const BEGIN: &[&str] = &[
    "start", "open", "create", "launch", "queue", "begin", "run", "file", "submit", "dispatch", "schedule", "kick", "spin",
    "make", "need", "want", "issue", "set", "fire", "send", "trigger", "add", "initiate",
];
/// Verbs that a lane that was named before may be the "it" of.
pub(super) const TO_IT: &[&str] =
    &["have", "ask", "tell", "get", "let", "use", "make", "give", "pass", "send", "hand", "assign"];
/// Before "mission": one of ours, not a company's.
pub(super) const OURS: &[&str] = &[
    "the", "my", "all", "any", "this", "that", "last", "latest", "running", "queued", "current", "each", "every", "which",
    "what", "these", "those", "other", "previous", "failed", "pending", "of",
];
/// What one may be able to do, in general.
pub(super) const ABILITIES: &[&str] = &[
    "browse", "access", "see", "use", "speak", "understand", "run", "search", "connect", "reach", "open", "read", "view",
    "know", "do", "remember", "work", "talk", "support", "handle",
];

/// Join two lanes to one request.
pub(super) const JOINTS: &[&str] = &[
    "and", "or", "plus", "as", "well", "also", "then", "nor", "along", "with", "together", "alongside", "else", "but",
    "&", "not",
];
/// After "is CODIE": what it is like, not how its work stands.
pub(super) const TRAITS: &[&str] = &[
    "a", "an", "able", "good", "better", "capable", "smart", "called", "named", "real", "human", "like", "supposed",
    "allowed", "worth", "right", "open", "different", "same", "hosted", "trained", "priced", "suitable", "expensive", "faster", "cheaper", "the", "more", "really", "great",
    "known",
];
/// With "cancelled": it is wished, not told.
pub(super) const WISHED: &[&str] =
    &["should", "must", "needs", "want", "need", "like", "can", "get", "have", "please", "could"];

/// A word that the rules know as a verb, an auxiliary or the like: no surname.
pub(super) fn is_known(word: &str) -> bool {
    let lists = [
        SOFT, CAUSE, VERBS, CANCEL, INSPECT, OBTAIN, STATUS, RESULTS, WORK, THINGS, MUST, NOT, PREPOSITIONS, MODAL, AUX, WH,
        ARTICLES, OTHERS, NO_WORK, TELLING, MADE, PIECE, TRANSFER, CAUSING, DONE_BY, CANCELLED,
    ];
    lists.iter().any(|list| has(list, word))
        || has(&["i", "you", "we", "vp", "us", "me", "them", "lane", "agent"], word)
}

/// "It's" and its like are no possessives.
pub(super) fn is_contraction(owner: &str) -> bool {
    let pronouns: &[&str] = &[
        "it", "that", "there", "here", "he", "she", "what", "how", "who", "where", "when", "let", "why",
        "this", "one",
    ];
    has(pronouns, owner)
}

/// Verbs that carry a request, where a slip of the pen would lose it.
const CARRIERS: &[&str] = &[
    "have", "should", "delegate", "assign", "please", "cancel", "want", "dispatch", "could", "would", "handle", "forward",
    "send", "write", "implement", "status", "instead", "report", "without", "finish", "mission", "running", "finished",
];

/// Mends a slip in a word that carries a request: "hav", "shoud", "deligate". Not a longer form of one, nor a short word
/// with another letter in it.
pub(super) fn mend(tokens: &mut [super::text::Token]) {
    for token in tokens {
        let letters = token.text.chars().count();
        if token.kind != super::text::Kind::Word || letters < 3 || is_known(&token.text) {
            continue;
        }
        let meant = CARRIERS.iter().find(|word| {
            let longer = token.text.starts_with(**word);
            let other_letter = letters == word.chars().count() && letters < 6 && sorted(&token.text) != sorted(word);
            !longer && !other_letter && super::names::one_slip(&token.text, word)
        });
        if let Some(meant) = meant {
            (*meant).clone_into(&mut token.text);
        }
    }
}

fn sorted(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}
