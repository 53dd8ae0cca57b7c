//! How much is done to read a text: the looks into lists of words, which are all that the rules do.

use std::cell::Cell;

use super::{MAX_ROUTED_BYTES, Router};

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn count() {
    LOOKS.with(|looks| looks.set(looks.get() + 1));
}

fn work(router: &Router, text: &str) -> u64 {
    LOOKS.with(|looks| looks.set(0));
    router.route(text);
    LOOKS.with(Cell::get)
}

#[test]
fn twice_the_text_is_twice_the_work() {
    let lanes = serde_json::from_value(serde_json::json!({
        "vp.coder.primary": {"display_name": "CODIE", "aliases": ["coder VP"], "executor": {"kind": "noop"}},
        "vp.general.primary": {"display_name": "General VP", "aliases": [], "executor": {"kind": "noop"}},
    }))
    .expect("two lanes");
    let router = Router::new(&lanes);
    for part in [
        "use CODIE to fix it. ",
        "Have CODIE fix it, then the General VP writes it, or not.\n",
        "CODIE, ",
        "CODIE ",
        "a,",
        "if it fails, don't use the General VP and ",
        "never mind. scratch that, no wait, CODIE. ",
        "say: use CODIE. ",
        "the plan: CODIE builds it; charts to CODIE, text to the General VP.\n\n",
        "\"use CODIE\" ",
        "\u{201c}use CODIE ",
        "(CODIE) - ",
        "2026-01-01 10:00:00 INFO CODIE\n",
    ] {
        let half = part.repeat(MAX_ROUTED_BYTES / 8 / part.len());
        let (one, two) = (work(&router, &half), work(&router, &half.repeat(2)));
        assert!(two <= one * 5 / 2, "{part:?}: {one} looks for the half, {two} for the whole");
        assert!(two < 10_000_000, "{part:?}: {two} looks");
    }
}
