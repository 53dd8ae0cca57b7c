#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use vp_shared::artifact::Category;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

struct World {
    dir: tempfile::TempDir,
    result: MissionResult,
}

fn told(path: &str, content: &[u8]) -> Artifact {
    Artifact {
        path: path.into(),
        category: Category::PrimaryWorkProduct,
        bytes: content.len() as u64,
        media_type: "image/png".into(),
        sha256: super::super::super::desk::hex(&Sha256::digest(content)),
        stored: false,
    }
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        symlink(dir.path().join("secret.txt"), root.join("link.txt")).unwrap();
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut artifacts = Vec::new();
        for (path, content) in
            [("a.md", b"h\xc3\xa9llo".as_slice()), ("sub/b.png", PNG), ("c.bin", b"\xff\0")]
        {
            std::fs::write(root.join(path), content).unwrap();
            artifacts.push(told(path, content));
        }
        for path in ["link.txt", "up/secret.txt", "../secret.txt", "./a.md", "sub//b.png", "pipe", "sub", ""]
        {
            artifacts.push(told(path, b"secret"));
        }
        std::fs::write(root.join(RECEIPT_FILE), "{}").unwrap();
        let result = MissionResult {
            result_ref: Some(format!("workspace://here{}", root.display())),
            artifacts,
            receipt: Some(RECEIPT_FILE.into()),
            sync_marker: Some("../secret.txt".into()),
            ..MissionResult::default()
        };
        Self { dir, result }
    }

    fn open(&self, path: &str) -> Result<Opened, NoFile> {
        Wanted { result: &self.result, host: "here", path }.open(1000)
    }
}

#[test]
fn what_was_told_of_is_opened_and_told_text_from_images() {
    let world = World::new();
    let mut text = world.open("a.md").unwrap();
    assert_eq!((text.bytes, text.image), (6, None));
    assert_eq!(text.text(100).unwrap(), ("héllo".to_owned(), false));
    text.file.rewind().unwrap();
    assert_eq!(text.text(2).unwrap(), ("h".to_owned(), true), "cut before a character that is not whole");
    assert_eq!(world.open("sub/b.png").unwrap().image, Some("image/png"));
    let mut bytes = world.open("c.bin").unwrap();
    assert_eq!(bytes.image, None, "an image by its name is none");
    assert!(matches!(bytes.text(100), Err(NoFile::NotText)));
    assert_eq!(world.open(RECEIPT_FILE).unwrap().bytes, 2);
}

#[test]
fn nothing_outside_the_workspace_is_opened_even_if_it_was_told_of() {
    let world = World::new();
    for path in ["link.txt", "up/secret.txt", "../secret.txt", "./a.md", "sub//b.png", "pipe", "sub", ""] {
        assert!(world.open(path).is_err(), "{path}");
    }
    for path in ["secret.txt", "/etc/passwd", "sync_ready.json"] {
        assert!(matches!(world.open(path), Err(NoFile::NotTold)), "{path}");
    }
}

#[test]
fn a_file_that_changed_is_not_the_one_that_was_told_of() {
    let world = World::new();
    std::fs::write(world.dir.path().join("work/a.md"), "HELLO!").unwrap();
    assert!(matches!(world.open("a.md"), Err(NoFile::Changed)));
    std::fs::remove_file(world.dir.path().join("work/a.md")).unwrap();
    assert!(matches!(world.open("a.md"), Err(NoFile::Expired)));
}

#[test]
fn a_large_file_and_one_elsewhere_say_so() {
    let world = World::new();
    let wanted = Wanted { result: &world.result, host: "there", path: "a.md" };
    assert!(matches!(wanted.open(1000), Err(NoFile::Elsewhere(host)) if host == "here"));
    let wanted = Wanted { host: "here", ..wanted };
    assert!(matches!(wanted.open(5), Err(NoFile::TooLarge(6))));
}
