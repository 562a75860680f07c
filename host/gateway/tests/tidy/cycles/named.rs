//! The paths that the modules of a file name, in their `use` declarations and in their code.

use super::tokens::{is_word, tokens};

/// A module, in a file of its own or within another's.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Its path from the crate's root.
    pub(super) path: Vec<String>,
    /// Its imports: the name in this module, and the path as it is written.
    pub(super) uses: Vec<(String, Vec<String>)>,
    /// The paths in its code, as they are written.
    pub(super) paths: Vec<Vec<String>>,
}

/// The modules of a file.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The modules that are compiled not only for tests, that of the file included.
    pub(super) modules: Vec<Module>,
    /// The paths of modules in other files that are compiled for tests only.
    pub(super) tests: Vec<Vec<String>>,
}

/// Reads the file of a module.
pub(super) fn named(path: Vec<String>, text: &str) -> Named {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, named: Named::default(), open: vec![(0, module(path))], depth: 0 };
    while let Some(token) = reader.next() {
        reader.read(token);
    }
    let Reader { mut named, open, .. } = reader;
    named.modules.extend(open.into_iter().map(|(_, module)| module));
    named
}

fn module(path: Vec<String>) -> Module {
    Module { path, ..Module::default() }
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    named: Named,
    /// The modules around the next token, the innermost last, each with the depth of its braces.
    open: Vec<(usize, Module)>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn peek(&self) -> &'a str {
        self.tokens.first().copied().unwrap_or_default()
    }

    fn innermost(&mut self) -> &mut Module {
        &mut self.open.last_mut().expect("the file's own is never closed").1
    }

    fn read(&mut self, token: &'a str) {
        match token {
            "{" => self.depth += 1,
            "}" => self.close(),
            "#" => self.attribute(),
            "mod" if self.tokens.get(1) == Some(&"{") => self.open(),
            // `use<'a>` says what a type captures.
            "use" if self.peek() != "<" => self.import(Vec::new()),
            word if is_word(word) && self.peek() == "::" => self.path(word),
            _ => {}
        }
    }

    fn close(&mut self) {
        if self.open.len() > 1 && self.open.last().is_some_and(|(depth, _)| *depth == self.depth) {
            self.named.modules.extend(self.open.pop().map(|(_, module)| module));
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Begins a module within the file.
    fn open(&mut self) {
        let path = self.beneath(self.peek());
        self.tokens = &self.tokens[2..];
        self.depth += 1;
        self.open.push((self.depth, module(path)));
    }

    fn beneath(&mut self, name: &str) -> Vec<String> {
        let mut path = self.innermost().path.clone();
        path.push(name.to_owned());
        path
    }

    /// Skips the item below an attribute where that compiles it for tests only.
    fn attribute(&mut self) {
        let attribute = self.take_until(|token, depth| token == "]" && depth == 0);
        let says = |word: &str| attribute.contains(&word);
        if says("cfg") && says("test") && !says("not") && !says("any") {
            self.pass_over();
        }
    }

    fn pass_over(&mut self) {
        while self.peek() == "#" {
            self.take_until(|token, depth| token == "]" && depth == 0);
        }
        let item = self.take_until(|token, depth| depth == 0 && matches!(token, "}" | ";" | ","));
        if let Some(at) = item.iter().position(|token| *token == "mod")
            && let [name, ";"] = item[at + 1..]
        {
            let path = self.beneath(name);
            self.named.tests.push(path);
        }
    }

    /// Takes the tokens up to the one for which `is_last` holds, given the depth of brackets after it, or to the end of
    /// the bracket around them.
    fn take_until(&mut self, is_last: impl Fn(&str, usize) -> bool) -> &'a [&'a str] {
        let (all, mut depth) = (self.tokens, 0_usize);
        while let Some(token) = self.tokens.first().copied() {
            match token {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => break,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            self.tokens = &self.tokens[1..];
            if is_last(token, depth) {
                break;
            }
        }
        &all[..all.len() - self.tokens.len()]
    }

    /// Reads what a `use` imports, or one branch of it behind the path of the branches before.
    fn import(&mut self, mut path: Vec<String>) {
        let mut name = None;
        while !matches!(self.peek(), "," | "}" | ";" | "") {
            match self.next().unwrap_or_default() {
                "{" => return self.branches(&path),
                "as" => name = self.next().map(str::to_owned),
                "::" => {}
                segment => path.push(segment.to_owned()),
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            self.innermost().uses.push((name, path));
        }
    }

    fn branches(&mut self, path: &[String]) {
        while !matches!(self.peek(), "}" | "") {
            self.import(path.to_vec());
            if self.peek() == "," {
                self.next();
            }
        }
        self.next();
    }

    fn path(&mut self, first: &str) {
        let mut path = vec![first.to_owned()];
        while self.peek() == "::" && self.tokens.get(1).is_some_and(|token| is_word(token)) {
            path.push(self.tokens[1].to_owned());
            self.tokens = &self.tokens[2..];
        }
        self.innermost().paths.push(path);
    }
}
