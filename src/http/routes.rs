//! Tables of what is served where: a method and a path to an action. Each socket that takes plain requests has a
//! table of its own; what is not in it is 404, and a method that is not is 405 with `Allow`.

use hyper::{Method, StatusCode};

use super::answer::{self, Answer};

/// One line of a table. `HEAD` is served wherever `GET` is.
#[derive(Debug)]
pub struct Route<A> {
    method: Method,
    /// As it stands in the request, without the query. A last segment of `*` is any one that is not empty.
    path: &'static str,
    action: A,
}

impl<A: Copy> Route<A> {
    /// Served with `GET` and `HEAD`.
    pub const fn get(path: &'static str, action: A) -> Route<A> {
        Route { method: Method::GET, path, action }
    }

    /// Served with `POST`.
    pub const fn post(path: &'static str, action: A) -> Route<A> {
        Route { method: Method::POST, path, action }
    }

    /// Served with `DELETE`.
    pub const fn delete(path: &'static str, action: A) -> Route<A> {
        Route { method: Method::DELETE, path, action }
    }

    /// What stands for `*` in this path, empty where the route has none; None where it is another path.
    fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.strip_suffix('*') {
            None => (path == self.path).then_some(""),
            Some(parent) => path
                .strip_prefix(parent)
                .filter(|segment| !segment.is_empty() && !segment.contains('/')),
        }
    }
}

/// Why there is no action.
#[derive(Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing is served under this path.
    Path,
    /// Only these methods are, as `Allow` lists them.
    Method(String),
}

/// The action for a request, and what stands for the `*` of its path.
///
/// # Errors
/// Where the table has none.
pub fn find<'p, A: Copy>(
    table: &[Route<A>],
    method: &Method,
    path: &'p str,
) -> Result<(A, &'p str), Miss> {
    let asked = if *method == Method::HEAD { &Method::GET } else { method };
    let mut allow: Vec<&str> = Vec::new();
    for route in table {
        let Some(segment) = route.matches(path) else { continue };
        if route.method == *asked {
            return Ok((route.action, segment));
        }
        allow.push(route.method.as_str());
        if route.method == Method::GET {
            allow.push("HEAD");
        }
    }
    Err(if allow.is_empty() { Miss::Path } else { Miss::Method(allow.join(", ")) })
}

/// Another table, and what its actions are among those of the first.
pub type Part<'a, A, B> = (&'a [Route<B>], fn(B) -> A);

/// [`find`] in a table, and with a path that it does not have in another, whose actions are `part` of the first's.
///
/// # Errors
/// Where neither has one.
pub fn find_in_both<'p, A: Copy, B: Copy>(
    table: &[Route<A>],
    (other, part): Part<'_, A, B>,
    method: &Method,
    path: &'p str,
) -> Result<(A, &'p str), Miss> {
    match find(table, method, path) {
        Err(Miss::Path) => {
            find(other, method, path).map(|(action, segment)| (part(action), segment))
        }
        found => found,
    }
}

impl Miss {
    /// 404 or 405.
    pub fn answer(&self) -> Answer {
        match self {
            Miss::Path => {
                let reason = "nothing is served under this path";
                answer::fault(StatusCode::NOT_FOUND, "not_found", reason)
            }
            Miss::Method(allow) => answer::wrong_method(allow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Route<u8>] = &[
        Route::get("/", 0),
        Route::get("/a", 1),
        Route::delete("/a", 2),
        Route::delete("/a/*", 3),
        Route::post("/b", 4),
    ];

    #[test]
    fn a_path_and_a_method_have_one_action() {
        let cases = [
            (Method::GET, "/", 0, ""),
            (Method::GET, "/a", 1, ""),
            (Method::HEAD, "/a", 1, ""),
            (Method::DELETE, "/a", 2, ""),
            (Method::DELETE, "/a/x y", 3, "x y"),
            (Method::POST, "/b", 4, ""),
        ];
        for (method, path, action, segment) in cases {
            assert_eq!(find(TABLE, &method, path), Ok((action, segment)), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_missed_by_its_path_or_its_method() {
        for path in ["", "//", "/a/", "/a/b/c", "/A", "/b/x", "/c"] {
            assert_eq!(find(TABLE, &Method::GET, path), Err(Miss::Path), "{path}");
        }
        let cases = [
            (Method::POST, "/a", "GET, HEAD, DELETE"),
            (Method::GET, "/a/x", "DELETE"),
            (Method::HEAD, "/b", "POST"),
            (Method::OPTIONS, "/", "GET, HEAD"),
        ];
        for (method, path, allow) in cases {
            let missed = find(TABLE, &method, path);
            assert_eq!(missed, Err(Miss::Method(allow.into())), "{method} {path}");
        }
    }

    #[test]
    fn a_second_table_has_what_the_first_has_not() {
        const OTHER: &[Route<char>] = &[Route::get("/a", 'a'), Route::post("/c/*", 'c')];
        let find = |method, path| find_in_both(TABLE, (OTHER, |name| name as u8), &method, path);
        assert_eq!(find(Method::GET, "/a"), Ok((1, "")));
        assert_eq!(find(Method::POST, "/c/x"), Ok((b'c', "x")));
        assert_eq!(find(Method::GET, "/c/x"), Err(Miss::Method("POST".into())));
        assert_eq!(find(Method::GET, "/d"), Err(Miss::Path));
    }
}
