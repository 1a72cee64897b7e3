//! Rust source as tokens: enough of the language to tell code from comments, strings and tests.

/// A word, a number, or one sign (`::` is one); a string or character literal is a bare `"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub text: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether it is compiled only for tests.
    pub test: bool,
}

/// One file, read.
#[derive(Debug)]
pub struct Source {
    pub tokens: Vec<Token>,
    /// Line and text of each comment.
    pub comments: Vec<(usize, String)>,
    pub lines: usize,
}

impl Source {
    pub fn read(text: &str) -> Self {
        let mut lexer = Lexer {
            chars: text.chars().collect(),
            at: 0,
            line: 1,
            tokens: Vec::new(),
            comments: Vec::new(),
        };
        while lexer.at < lexer.chars.len() {
            lexer.step();
        }
        let mut source = Self {
            tokens: lexer.tokens,
            comments: lexer.comments,
            lines: text.lines().count(),
        };
        source.mark_tests();
        source
    }

    /// Whether the words stand at a place, one after the other.
    pub fn stands(&self, at: usize, words: &[&str]) -> bool {
        let here = self.tokens.get(at..at + words.len());
        here.is_some_and(|here| {
            here.iter()
                .zip(words)
                .all(|(token, word)| token.text == *word)
        })
    }

    pub fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// Where the bracket that opens at a place closes; the last token when it does not.
    pub fn close(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.word(at) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// Where the item that starts at a place ends: at its block, or at its semicolon.
    pub fn item_end(&self, start: usize) -> usize {
        let mut at = start;
        while at < self.tokens.len() {
            match self.word(at) {
                ";" => return at,
                "{" => return self.close(at),
                "(" | "[" => at = self.close(at) + 1,
                _ => at += 1,
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// Number of lines outside what is compiled only for tests.
    pub fn shipped_lines(&self) -> usize {
        let mut test = std::collections::BTreeSet::new();
        for (at, token) in self.tokens.iter().enumerate() {
            if token.test {
                // Comments and blank lines between two tokens of a test belong to it.
                let next = self.tokens.get(at + 1).filter(|next| next.test);
                test.extend(token.line..=next.map_or(token.line, |next| next.line));
            }
        }
        self.lines - test.len()
    }

    fn mark_tests(&mut self) {
        for at in 0..self.tokens.len() {
            let end = if self.stands(at, &["#", "!", "["]) && self.says_test(at + 2) {
                self.tokens.len() - 1
            } else if self.stands(at, &["#", "["]) && self.says_test(at + 1) {
                let mut item = self.close(at + 1) + 1;
                while self.stands(item, &["#", "["]) {
                    item = self.close(item + 1) + 1;
                }
                self.item_end(item)
            } else {
                continue;
            };
            self.tokens[at..=end]
                .iter_mut()
                .for_each(|token| token.test = true);
        }
    }

    /// Whether the attribute in these brackets is `cfg(test)`, or `cfg(all(…))` with `test` among its words.
    fn says_test(&self, open: usize) -> bool {
        let words: Vec<_> = (open..self.close(open)).map(|at| self.word(at)).collect();
        words.get(1) == Some(&"cfg")
            && words.contains(&"test")
            && !words.contains(&"not")
            && !words.contains(&"any")
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<(usize, String)>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let char = self.peek(0);
        self.at += 1;
        self.line += usize::from(char == '\n');
        char
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.tokens.push(Token {
            text: text.into(),
            line,
            test: false,
        });
    }

    fn step(&mut self) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => {
                let text = self.take(|char| char != '\n');
                self.comments.push((line, text));
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            // A lifetime has no closing quote: 'a but not 'a' nor '\n'.
            ('\'', next) if next != '\\' && self.peek(2) != '\'' => {
                self.bump();
            }
            ('\'', _) => {
                self.bump();
                while !matches!(self.peek(0), '\'' | '\0') {
                    self.at += usize::from(self.bump() == '\\');
                }
                self.bump();
                self.push("\"", line);
            }
            (':', ':') => {
                self.at += 2;
                self.push("::", line);
            }
            (char, _) if char.is_alphanumeric() || char == '_' => self.word(),
            (char, _) => {
                self.bump();
                if !char.is_whitespace() {
                    self.push(char, line);
                }
            }
        }
    }

    fn take(&mut self, inside: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while self.at < self.chars.len() && inside(self.peek(0)) {
            text.push(self.bump());
        }
        text
    }

    fn word(&mut self) {
        let line = self.line;
        let text = self.take(|char| char.is_alphanumeric() || char == '_');
        let hashes = self.chars[self.at..]
            .iter()
            .take_while(|char| **char == '#')
            .count();
        match text.as_str() {
            "r" | "br" | "cr" if self.peek(hashes) == '"' => {
                self.at += hashes + 1;
                while self.at < self.chars.len() {
                    if self.bump() == '"' && (0..hashes).all(|ahead| self.peek(ahead) == '#') {
                        break;
                    }
                }
                self.at += hashes;
                self.push("\"", line);
            }
            "b" | "c" if matches!(self.peek(0), '"' | '\'') => {}
            "r" if hashes == 1 => self.at += 1,
            _ => self.push(text, line),
        }
    }

    fn string(&mut self) {
        let line = self.line;
        self.bump();
        while !matches!(self.peek(0), '"' | '\0') {
            if self.bump() == '\\' {
                self.bump();
            }
        }
        self.bump();
        self.push("\"", line);
    }

    fn block_comment(&mut self) {
        let (line, start) = (self.line, self.at);
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.bump();
                    if self.at >= self.chars.len() {
                        break;
                    }
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                break;
            }
        }
        let end = self.at.min(self.chars.len());
        self.comments
            .push((line, self.chars[start..end].iter().collect()));
    }
}

#[test]
fn strings_characters_and_comments_are_not_code() {
    let text = r##"
        // { todo
        /* { /* nested */ { */
        fn f<'a>(x: &'a str) -> char { let _ = ("{\"", r#"{"{"#, b'{', '\'', '{', '\u{7b}'); '}' }
    "##;
    let source = Source::read(text);
    let words: Vec<_> = source
        .tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    assert_eq!(
        words.iter().filter(|word| **word == "{").count(),
        1,
        "{words:?}"
    );
    assert_eq!(
        words.iter().filter(|word| **word == "}").count(),
        1,
        "{words:?}"
    );
    assert!(!words.contains(&"todo"));
    assert_eq!(source.comments.len(), 2);
}

#[test]
fn tests_are_told_from_what_ships() {
    let source = Source::read(
        "fn a() {}\n#[cfg(test)]\n#[derive(Debug)]\nmod tests {\n\n    fn b() {}\n}\nfn c() {}\n",
    );
    let test: Vec<_> = source
        .tokens
        .iter()
        .filter(|token| token.test)
        .map(|token| token.line)
        .collect();
    assert_eq!((test.first(), test.last()), (Some(&2), Some(&7)));
    assert_eq!(source.shipped_lines(), 2);
    let source = Source::read("#[cfg(not(test))]\nfn a() {}\n");
    assert_eq!(source.shipped_lines(), 2);
}
