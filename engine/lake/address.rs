//! The places that the settings name, as URLs: one name for one place.
//!
//! Several libraries turn a URL into a path and back, and not all in the same way. What one of them
//! would read as something else is refused here, before anything is written.

use std::path::{Component, Path, PathBuf};

use url::Url;

use crate::error::{Error, Result};
use crate::printable;
use crate::settings::{Settings, variable, without_user};

/// The place that a setting names.
///
/// # Errors
/// `Usage`: it is none, or tables would be written to one place and looked for in another.
pub(super) fn place(settings: &Settings, name: &str) -> Result<Url> {
    let text = settings.place(name);
    let text = local_path(&text).unwrap_or(text);
    let is_remote = text.contains("://") || text.starts_with("s3:");
    if let Some(odd) = odd_part(&text, is_remote || name == "root") {
        let shown = without_user(&text);
        return Err(Error::usage(format!("setting `{name}`: `{}` has {odd} in it", printable::line(&shown)))
            .hint(format!(
                "tables would be written to one place and looked for in another: set `{name}` ({}) to a place without it, or rename the folder",
                variable(name)
            )));
    }
    let url = if is_remote {
        Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok()
    } else {
        std::path::absolute(Path::new(&text))
            .ok()
            .and_then(|path| Url::from_directory_path(straight(&path)).ok())
    };
    url.filter(is_place).ok_or_else(|| {
        let shown = without_user(&text);
        Error::usage(format!("setting `{name}`: `{shown}` is no folder and no s3://bucket/prefix"))
            .hint("a prefix has no ? and no #, and user and password stand elsewhere")
    })
}

/// The path of a `file:` URL, which has its own way to write every character.
fn local_path(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file" && is_place(url))?;
    url.to_file_path().ok()?.into_os_string().into_string().ok()
}

/// What of a place's name the libraries that read it would change on the way.
fn odd_part(text: &str, decodes: bool) -> Option<String> {
    if text.contains('\\') {
        return Some("a backslash".to_owned());
    }
    if text.contains(char::is_control) {
        return Some("a control character".to_owned());
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Some("a name that is no UTF-8".to_owned());
    }
    let (_, below) = text.split_once("://").unwrap_or_default();
    if below.split('/').any(|part| matches!(part, "." | "..")) {
        return Some("`.` or `..`".to_owned());
    }
    let mut codes = text.match_indices('%').filter_map(|(at, _)| text.get(at..at + 3));
    let is_code = |code: &&str| code[1..].bytes().all(|byte| byte.is_ascii_hexdigit());
    codes.find(is_code).filter(|_| decodes).map(|code| format!("`{code}`"))
}

/// A path without `..`, as the operating system goes it: behind a link, up is not back.
fn straight(path: &Path) -> PathBuf {
    let mut way = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                way = way.canonicalize().unwrap_or(way);
                way.pop();
            }
            part => way.push(part),
        }
    }
    way
}

fn is_place(url: &Url) -> bool {
    let is_bucket = url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.port().is_none()
        && url.password().is_none();
    let is_whole = url.query().is_none() && url.fragment().is_none();
    is_whole && (url.scheme() == "file" || (is_bucket && matches!(url.scheme(), "s3" | "s3a")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_prefix_and_nothing_more() {
        let is_place = |text: &str| Url::parse(text).is_ok_and(|url| is_place(&url));
        assert!(is_place("s3://bucket/a/b/") && is_place("file:///data/lake/"));
        for text in [
            "s3://b/x#1/",
            "s3://b/x?1/",
            "s3:///x/",
            "s3://me:pass@b/x/",
            "s3:/b/x/",
            "s3://b:90/x/",
            "ftp://b/",
        ] {
            assert!(!is_place(text), "{text}");
        }
    }

    #[test]
    fn a_name_that_a_library_would_read_otherwise_is_found() {
        for text in
            ["/a%20b", "/%2e%2e/x", "/x\\y", "/a\nb", "/\u{fffd}/x", "s3://b/../x", "s3://b/%41"]
        {
            assert!(odd_part(text, true).is_some(), "{text}");
        }
        for text in ["/a%b", "/100%", "/a%zz", "/a b/é#?*", "/a/../b", "s3://b/a b/c..d", "/x/%2"]
        {
            assert_eq!(odd_part(text, true), None, "{text}");
        }
        assert_eq!(odd_part("/landing/a%20b", false), None);
        assert_eq!(local_path("file:///a%20b/x").as_deref(), Some("/a b/x"));
        assert!(local_path("s3://b/a%20b").is_none() && local_path("file:///a?b").is_none());
    }

    #[test]
    fn up_is_where_the_operating_system_goes_up_to() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(whole.join("real/deep")).unwrap();
        std::os::unix::fs::symlink("real/deep", whole.join("link")).unwrap();
        assert_eq!(straight(&whole.join("link/../x")), whole.join("real/x"));
        assert_eq!(straight(&whole.join("none/../x")), whole.join("x"));
        assert_eq!(straight(&whole.join("link/x")), whole.join("link/x"));
        assert_eq!(straight(Path::new("/../x")), Path::new("/x"));
    }
}
