//! Identities by JWT, made by hand.

/// An operator with one account that has JetStream, made by hand as `nsc` would.
pub(crate) struct JwtWorld {
    operator: nkeys::KeyPair,
    system: nkeys::KeyPair,
    account: nkeys::KeyPair,
}

impl JwtWorld {
    pub(crate) fn new() -> Self {
        Self {
            operator: nkeys::KeyPair::new_operator(),
            system: nkeys::KeyPair::new_account(),
            account: nkeys::KeyPair::new_account(),
        }
    }

    pub(crate) fn server_config(&self) -> String {
        let operator =
            jwt(&self.operator, &self.operator, &serde_json::json!({ "type": "operator", "version": 2 }));
        let limits = |stored: i64| {
            serde_json::json!({ "type": "account", "version": 2, "limits": {
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
                "conn": -1, "leaf": -1, "mem_storage": stored, "disk_storage": stored, "streams": stored,
                "consumer": stored,
            } })
        };
        let (system, account) = (self.system.public_key(), self.account.public_key());
        format!(
            "jetstream {{ store_dir: \"DIR/js\" }}\noperator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload {{ {system}: {}, {account}: {} }}",
            jwt(&self.system, &self.operator, &limits(0)),
            jwt(&self.account, &self.operator, &limits(-1)),
        )
    }

    pub(crate) fn creds(&self, user: &nkeys::KeyPair) -> String {
        let claims =
            serde_json::json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(user, &self.account, &claims),
            user.seed().unwrap()
        )
    }
}

/// A token about `subject`, signed by `issuer`.
fn jwt(subject: &nkeys::KeyPair, issuer: &nkeys::KeyPair, claims: &serde_json::Value) -> String {
    let payload = serde_json::json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": claims,
    });
    let head = base64url(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", base64url(payload.to_string().as_bytes()));
    let signature = base64url(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[word >> (18 - 6 * place) & 63]));
        }
    }
    text
}
