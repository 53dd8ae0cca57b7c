//! Ids whose mix-up would hurt, each validated once, where it enters.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a valid {kind}: {why}")]
pub struct BadId {
    /// The kind of id that was wanted, in words a user knows.
    pub kind: &'static str,
    /// The refused text, cut to 80 characters and escaped.
    pub shown: String,
    /// What was wrong with it.
    pub why: &'static str,
}

impl BadId {
    fn new(kind: &'static str, text: &str, why: &'static str) -> Self {
        let shown = text.chars().take(80).flat_map(char::escape_debug).collect();
        Self { kind, shown, why }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates `text`.
            ///
            /// # Errors
            /// [`BadId`] with the rule that the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, BadId> {
                let text = text.as_ref();
                match $check(text) {
                    Ok(()) => Ok(Self(Arc::from(text))),
                    Err(why) => Err(BadId::new($kind, text, why)),
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $kind.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// A lane: `vp.<role>.<instance>`, exactly three tokens.
    VpId, "vp_id", check_vp_id
);
text_id!(
    /// A mission: `m-` and 26 lower-case base32 characters.
    MissionId, "mission_id", check_mission_id
);
text_id!(
    /// A session of the control-plane agent: 1 to 64 visible ASCII characters.
    SessionId, "session_id", check_session_id
);
text_id!(
    /// A worker process; the same after a restart. Lower-case letters, digits and `-`, at most 64.
    WorkerId, "worker_id", check_worker_id
);
text_id!(
    /// What a session was told, once: `<mission_id>.<what>`.
    NoticeId, "notice_id", check_notice_id
);

fn check_vp_id(text: &str) -> Result<(), &'static str> {
    const RULE: &str = "want three tokens `vp.<role>.<instance>`, role and instance of 1 to 32 characters \
        a-z, 0-9, `_`, `-`, starting with a letter or digit";
    let mut tokens = text.split('.');
    let (first, role, instance) = (tokens.next(), tokens.next(), tokens.next());
    match (first, role, instance, tokens.next()) {
        (Some("vp"), Some(role), Some(instance), None) if lane_token(role) && lane_token(instance) => Ok(()),
        _ => Err(RULE),
    }
}

fn lane_token(token: &str) -> bool {
    let head = token.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    head && token.len() <= 32
        && token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn check_mission_id(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("m-").unwrap_or_default();
    if rest.len() == 26 && rest.bytes().all(|b| BASE32.contains(&b)) {
        Ok(())
    } else {
        Err("want `m-` followed by 26 characters a-z, 2-7")
    }
}

fn check_session_id(text: &str) -> Result<(), &'static str> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("want 1 to 64 visible ASCII characters, no spaces")
    }
}

fn check_worker_id(text: &str) -> Result<(), &'static str> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(fine) && !text.starts_with('-') {
        Ok(())
    } else {
        Err("want 1 to 64 characters a-z, 0-9, `-`, not starting with `-`")
    }
}

fn check_notice_id(text: &str) -> Result<(), &'static str> {
    let Some((mission, what)) = text.split_once('.') else { return Err("want `<mission_id>.<what>`") };
    check_mission_id(mission)?;
    if (1..=32).contains(&what.len()) && what.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        Ok(())
    } else {
        Err("want `<mission_id>.<what>`, what of a-z and `_`")
    }
}

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl VpId {
    /// The role, the middle token: `coder` in `vp.coder.primary`.
    pub fn role(&self) -> &str {
        self.as_str().split('.').nth(1).unwrap_or_default()
    }
}

impl MissionId {
    /// The id of the mission that this key names in this lane, the same for ever.
    pub fn of_key(vp_id: &VpId, idempotency_key: &str) -> Self {
        Self::hashed(vp_id, idempotency_key.as_bytes())
    }

    /// The id of a mission without a key, from an id never used before.
    pub fn fresh(vp_id: &VpId, unique: Uuid) -> Self {
        Self::hashed(vp_id, unique.as_hyphenated().to_string().as_bytes())
    }

    fn hashed(vp_id: &VpId, key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(vp_id.as_str().as_bytes());
        hash.update([0]);
        hash.update(key);
        let digest = hash.finalize();
        let mut text = String::with_capacity(28);
        text.push_str("m-");
        // 26 characters of five bits: the first 130 of the 256.
        for i in 0..26 {
            let bit = i * 5;
            let pair = u16::from(digest[bit / 8]) << 8 | u16::from(digest[bit / 8 + 1]);
            let index = (pair >> (11 - bit % 8)) & 31;
            text.push(char::from(BASE32[usize::from(index)]));
        }
        Self(Arc::from(text))
    }
}

impl NoticeId {
    /// The id of what a session is told of `mission` about `what`; at most one each.
    pub fn of(mission: &MissionId, what: &'static str) -> Self {
        Self(Arc::from(format!("{mission}.{what}")))
    }
}

/// An event's id, sortable by the time of its making (UUIDv7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Which execution of a mission: 1 is the first, 0 means none has started.
pub type Attempt = u32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lanes_have_exactly_three_clean_tokens() {
        for good in ["vp.coder.primary", "vp.general.primary", "vp.a.b", "vp.c0_d-e.9"] {
            assert!(VpId::new(good).is_ok(), "{good}");
        }
        let long = format!("vp.{}.primary", "a".repeat(33));
        for bad in [
            "",
            "vp",
            "vp.coder",
            "vp.coder.primary.x",
            "vp..primary",
            "vp.*.primary",
            "vp.coder.>",
            "VP.coder.x",
            "vp.Coder.primary",
            "vp.co der.primary",
            "vp.co\0der.primary",
            "xp.coder.primary",
            "vp.-a.b",
            &long,
        ] {
            assert!(VpId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_always_names_the_same_mission_of_a_lane() {
        let coder = VpId::new("vp.coder.primary").unwrap();
        let general = VpId::new("vp.general.primary").unwrap();
        assert_eq!(MissionId::of_key(&coder, "k"), MissionId::of_key(&coder, "k"));
        assert_ne!(MissionId::of_key(&coder, "k"), MissionId::of_key(&general, "k"));
        assert_ne!(MissionId::of_key(&coder, "k"), MissionId::of_key(&coder, "l"));
        // Pinned: a changed hash would make every old key a new mission.
        assert_eq!(MissionId::of_key(&coder, "release-42").as_str(), "m-rsgap7vjgwfukzq3rfseesylef");
    }

    #[test]
    fn a_refused_id_is_shown_escaped_and_short() {
        let error = VpId::new("a\n".repeat(100)).unwrap_err();
        assert!(error.shown.len() <= 200 && !error.shown.contains('\n'));
    }

    proptest! {
        #[test]
        fn every_made_mission_id_is_valid(key in ".*") {
            let lane = VpId::new("vp.coder.primary").unwrap();
            let id = MissionId::of_key(&lane, &key);
            prop_assert_eq!(MissionId::new(id.as_str()).unwrap(), id);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = (VpId::new(&text), MissionId::new(&text), SessionId::new(&text), WorkerId::new(&text), NoticeId::new(&text));
        }
    }
}
