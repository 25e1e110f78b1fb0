//! A script that knows a server is gone by one of the two things that tmux says.

use crate::call::{Call, What};

/// Where the socket is there and nobody listens.
const REFUSED: &str = "no server running";
/// Where it is not there: after a removal, or before the first start.
const ABSENT: [&str; 2] = ["error connecting", "no such file"];

pub(super) fn check(calls: &[Call], number: usize) -> Option<String> {
    let says = |what: &What, text: &str| matches!(what, What::Match(matched) if matched.as_str().to_lowercase().contains(text));
    if !says(&calls[number].what, REFUSED) {
        return None;
    }
    let knows_both = calls.iter().any(|call| ABSENT.iter().any(|text| says(&call.what, text)));
    (!knows_both).then(|| {
        "tmux says \"no server running on …\" only while the dead server's socket is there; where it was removed it says \"error connecting to … (No such file or directory)\", both with exit code 1; look for both, or ask tmux-janitor probe"
            .to_owned()
    })
}
