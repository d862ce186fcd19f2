//! A page of Markdown as chapters with steps to play.

/// What a page asks to run.
pub struct Page {
    /// The scripts that each chapter starts with.
    pub setup: Vec<Step>,
    /// Its chapters that have steps.
    pub chapters: Vec<Chapter>,
    /// The languages of its fenced blocks that are no transcripts.
    pub other_blocks: Vec<String>,
}

/// What stands below one heading of the second level.
pub struct Chapter {
    /// Its heading.
    pub title: String,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// One thing to run.
pub struct Step {
    /// Its first line in the page, from 1.
    pub line: usize,
    /// What the shell runs.
    pub script: String,
    /// The text below a command; none for a setup, which is not shown.
    pub shown: Option<Vec<String>>,
}

/// Where in the page the parser is.
enum State {
    Text,
    Setup,
    Console,
    OtherBlock,
}

impl Page {
    /// Reads a page; fails where a fence or a comment is not closed.
    pub fn parse(text: &str) -> Page {
        let mut page = Page {
            setup: Vec::new(),
            chapters: Vec::new(),
            other_blocks: Vec::new(),
        };
        let mut state = State::Text;
        for (line, text) in (1..).zip(text.lines()) {
            state = match state {
                State::Text => page.text(line, text),
                State::Setup if text == "-->" => State::Text,
                State::Setup => {
                    let script = &mut page.steps().last_mut().unwrap().script;
                    script.push_str(text);
                    script.push('\n');
                    State::Setup
                }
                State::Console | State::OtherBlock if text == "```" => State::Text,
                State::Console => {
                    page.console(line, text);
                    State::Console
                }
                State::OtherBlock => State::OtherBlock,
            };
        }
        assert!(matches!(state, State::Text), "every block is closed");
        page.chapters.retain(|chapter| !chapter.steps.is_empty());
        page
    }

    /// How many commands it shows.
    pub fn commands(&self) -> usize {
        let steps = self.chapters.iter().flat_map(|chapter| &chapter.steps);
        steps.filter(|step| step.shown.is_some()).count()
    }

    fn steps(&mut self) -> &mut Vec<Step> {
        match self.chapters.last_mut() {
            Some(chapter) => &mut chapter.steps,
            None => &mut self.setup,
        }
    }

    fn text(&mut self, line: usize, text: &str) -> State {
        if let Some(title) = text.strip_prefix("## ") {
            self.chapters.push(Chapter {
                title: title.to_owned(),
                steps: Vec::new(),
            });
        }
        match text.trim_start().strip_prefix("```") {
            Some("console") => return State::Console,
            Some(other) => {
                self.other_blocks.push(other.to_owned());
                return State::OtherBlock;
            }
            None => {}
        }
        if text != "<!-- setup" {
            return State::Text;
        }
        self.steps().push(Step {
            line,
            script: String::new(),
            shown: None,
        });
        State::Setup
    }

    fn console(&mut self, line: usize, text: &str) {
        if let Some(command) = text.strip_prefix("$ ") {
            self.steps().push(Step {
                line,
                script: command.to_owned(),
                shown: Some(Vec::new()),
            });
            return;
        }
        let Some(Step {
            script,
            shown: Some(shown),
            ..
        }) = self.steps().last_mut()
        else {
            panic!("line {line}: a transcript begins with a command");
        };
        match text.strip_prefix("> ") {
            Some(more) if shown.is_empty() => {
                script.push('\n');
                script.push_str(more);
            }
            _ => shown.push(text.to_owned()),
        }
    }
}
