use std::fmt;
use std::path::{Path, PathBuf};

use async_nats::{AuthError, ConnectOptions};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize, Serializer};

use super::error::ConnectError;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; keep it out of logs and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Only [`Auth`] is ever written, and only into a pipe between two of our own processes.
fn exposed<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// As whom to connect. Written with its secrets: only into a pipe between two of our own processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// As nobody in particular, or as the url says.
    #[default]
    None,
    /// By name and password.
    UserPassword {
        /// The user's name.
        user: String,
        /// The user's password.
        #[serde(serialize_with = "exposed")]
        password: Secret,
    },
    /// By a token.
    Token(#[serde(serialize_with = "exposed")] Secret),
    /// By an nkey, whose seed is in this file.
    NkeySeedFile(PathBuf),
    /// By a JWT and an nkey, which are in this `.creds` file.
    CredsFile(PathBuf),
}

impl Auth {
    /// Options with the credentials; files are read now, to refuse bad ones early, and at each reconnect.
    pub(super) async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        match self {
            Self::None => Ok(ConnectOptions::new()),
            Self::UserPassword { user, password } => {
                Ok(ConnectOptions::with_user_and_password(user.clone(), password.expose().to_owned()))
            }
            Self::Token(token) => Ok(ConnectOptions::with_token(token.expose().to_owned())),
            Self::NkeySeedFile(path) => {
                Identity::read_seed(path).await?;
                Ok(signing(path.clone(), FileKind::Seed))
            }
            Self::CredsFile(path) => {
                Identity::read_creds(path).await?;
                Ok(signing(path.clone(), FileKind::Creds))
            }
        }
    }

    /// What was presented, for an error: never a secret.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::None => "no credentials".to_owned(),
            Self::UserPassword { user, .. } => format!("user `{user}` and a password"),
            Self::Token(_) => "a token".to_owned(),
            Self::NkeySeedFile(path) => format!("the nkey in `{}`", path.display()),
            Self::CredsFile(path) => format!("the credentials in `{}`", path.display()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum FileKind {
    Seed,
    Creds,
}

/// Reads the file again and signs the server's nonce, at each (re)connect.
fn signing(path: PathBuf, kind: FileKind) -> ConnectOptions {
    ConnectOptions::with_auth_callback(move |nonce: Vec<u8>| {
        let path = path.clone();
        async move {
            let identity = match kind {
                FileKind::Seed => Identity::read_seed(&path).await,
                FileKind::Creds => Identity::read_creds(&path).await,
            };
            identity.map_err(AuthError::new)?.sign(&nonce)
        }
    })
}

/// A key, with the JWT that vouches for it if there is one.
struct Identity {
    key: KeyPair,
    jwt: Option<String>,
}

impl Identity {
    async fn read_seed(path: &Path) -> Result<Self, ConnectError> {
        let text = read("nkey", path).await?;
        let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
        let key = seed.and_then(|seed| KeyPair::from_seed(seed).ok());
        let key = key.ok_or_else(|| {
            ConnectError::bad_config(format!("`{}` holds no nkey seed of a user (`SU...`)", path.display()))
        })?;
        Ok(Self { key, jwt: None })
    }

    async fn read_creds(path: &Path) -> Result<Self, ConnectError> {
        let text = read("creds", path).await?;
        let jwt = armored(&text, "NATS USER JWT").map(str::to_owned);
        let key = armored(&text, "USER NKEY SEED").and_then(|seed| KeyPair::from_seed(seed).ok());
        match (jwt, key) {
            (Some(jwt), Some(key)) => Ok(Self { key, jwt: Some(jwt) }),
            _ => Err(ConnectError::bad_config(format!(
                "`{}` is not a credentials file (a user JWT and an nkey seed, each between its marker lines)",
                path.display()
            ))),
        }
    }

    fn sign(&self, nonce: &[u8]) -> Result<async_nats::Auth, AuthError> {
        let mut auth = async_nats::Auth::new();
        auth.signature = Some(self.key.sign(nonce).map_err(AuthError::new)?);
        match &self.jwt {
            Some(jwt) => auth.jwt = Some(jwt.clone()),
            None => auth.nkey = Some(self.key.public_key()),
        }
        Ok(auth)
    }
}

async fn read(what: &'static str, path: &Path) -> Result<String, ConnectError> {
    tokio::fs::read_to_string(path).await.map_err(|source| ConnectError::File {
        what,
        path: path.to_owned(),
        source,
    })
}

/// The line between `-----BEGIN <title>-----` and its end.
fn armored<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let begin = format!("BEGIN {title}");
    let mut lines =
        text.lines().map(str::trim).skip_while(|line| !(line.starts_with("---") && line.contains(&begin)));
    lines.next()?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{Auth, Identity, Secret, armored};

    const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

    #[test]
    fn debug_prints_no_secret() {
        let auth = Auth::UserPassword { user: "ann".to_owned(), password: Secret::new("hunter2") };
        for text in
            [format!("{auth:?}"), auth.describe(), format!("{:?}", Auth::Token(Secret::new("hunter2")))]
        {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_seed_file_may_have_comments_and_signs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("user.nk");
        std::fs::write(&path, format!("# the worker's key\n{SEED}\n")).unwrap();
        let auth = Identity::read_seed(&path).await.unwrap().sign(b"nonce").unwrap();
        assert!(auth.nkey.unwrap().starts_with('U'));
        assert_eq!(auth.signature.unwrap().len(), 64);
    }

    #[tokio::test]
    async fn a_creds_file_gives_jwt_and_signature() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("user.creds");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\r\neyJ0.e30.sig\r\n------END NATS USER JWT------\r\n\r\nKeep this secret.\r\n\
             -----BEGIN USER NKEY SEED-----\r\n{SEED}\r\n------END USER NKEY SEED------\r\n"
        );
        std::fs::write(&path, text).unwrap();
        let auth = Identity::read_creds(&path).await.unwrap().sign(b"nonce").unwrap();
        assert_eq!(auth.jwt.as_deref(), Some("eyJ0.e30.sig"));
        assert!(auth.nkey.is_none() && auth.signature.is_some());
    }

    #[tokio::test]
    async fn a_bad_credentials_file_is_refused_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad");
        for text in ["", "hunter2", "-----BEGIN NATS USER JWT-----\nhunter2\n", "SUhunter2"] {
            std::fs::write(&path, text).unwrap();
            for result in [Identity::read_creds(&path).await, Identity::read_seed(&path).await] {
                let error = result.err().unwrap();
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            }
        }
    }

    #[test]
    fn an_empty_armor_holds_nothing() {
        assert_eq!(armored("-----BEGIN X-----\n------END X------", "X"), None);
        assert_eq!(armored("-----BEGIN X-----", "X"), None);
        assert_eq!(armored("-----BEGIN X-----\n  v \n------END X------", "X"), Some("v"));
    }
}
