//! The report: a Markdown table with footnotes, and the same as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::contract;
use crate::format::Format;
use crate::manifest::Framework;
use crate::run::{Cell, Outcome};

/// The markers around the table in docs/compatibility.md.
const BEGIN: &str = "<!-- compat:begin -->\n";
const END: &str = "<!-- compat:end -->";

/// The results of the rows.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// The reason why the row did not run.
    skipped: Option<String>,
    cells: Vec<Cell>,
    unsupported: Vec<Unsupported>,
}

#[derive(Debug, Serialize)]
struct Unsupported {
    format: Format,
    reason: String,
}

impl Report {
    /// Adds a row that ran.
    pub fn ran(&mut self, framework: &Framework, cells: Vec<Cell>) {
        self.add(framework, None, cells);
    }

    /// Adds a row that could not run.
    pub fn skipped(&mut self, framework: &Framework, reason: String) {
        self.add(framework, Some(reason), Vec::new());
    }

    fn add(&mut self, framework: &Framework, skipped: Option<String>, cells: Vec<Cell>) {
        let unsupported = framework.unsupported.iter();
        self.rows.push(Row {
            name: framework.name.clone(),
            skipped,
            cells,
            unsupported: unsupported
                .map(|(format, reason)| Unsupported {
                    format: *format,
                    reason: reason.clone(),
                })
                .collect(),
        });
    }

    /// Returns a line for each wrong response.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for row in &self.rows {
            for cell in &row.cells {
                for (request, difference) in cell.wrong() {
                    lines.push(format!(
                        "{}, {}, {request}: {difference}",
                        row.name, cell.format
                    ));
                }
            }
        }
        lines
    }

    /// Returns the number of cells as `N passed, N failed, N skipped`. A skipped row counts with the formats
    /// that it supports.
    #[must_use]
    pub fn counts(&self) -> String {
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for row in &self.rows {
            let wrong = row
                .cells
                .iter()
                .filter(|cell| cell.wrong().count() > 0)
                .count();
            failed += wrong;
            passed += row.cells.len() - wrong;
            if row.skipped.is_some() {
                skipped += Format::value_variants().len() - row.unsupported.len();
            }
        }
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// Returns the table, its legend and its footnotes.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut notes = Notes::default();
        let formats = Format::value_variants();
        let mut table = "| |".to_owned();
        for format in formats {
            let _ = write!(table, " {format} |");
        }
        let _ = write!(table, "\n|---|{}", ":-:|".repeat(formats.len()));
        for row in &self.rows {
            let _ = write!(table, "\n| {} |", row.name);
            for format in formats {
                let _ = write!(table, " {} |", row.cell(*format, &mut notes));
            }
        }
        let all: Vec<_> = contract::cases().iter().map(|case| case.id).collect();
        let _ = writeln!(
            table,
            "\n\n✓: all {} responses are right ({}). A number is that of the right responses. –: the\n\
             adapter does not support the format. The notes have the reasons.\n",
            all.len(),
            all.join(", ")
        );
        for (index, note) in notes.0.iter().enumerate() {
            let _ = writeln!(table, "{}. {note}", index + 1);
        }
        table
    }

    /// Writes `report.md` and `report.json` into `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut markdown = self.markdown();
        for line in self.wrong() {
            let _ = writeln!(markdown, "\n- wrong: {line}");
        }
        let json = serde_json::to_string_pretty(self)?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(folder.join("report.md"), markdown))
            .and_then(|()| fs::write(folder.join("report.json"), json))
            .with_context(|| format!("cannot write to {}", folder.display()))
    }

    /// Puts the table between the two markers in the file `page`.
    ///
    /// # Errors
    /// A row was skipped or has a wrong response, or the markers are missing.
    pub fn write_docs(&self, page: &Path) -> Result<()> {
        if let Some(row) = self.rows.iter().find(|row| row.skipped.is_some()) {
            bail!("the table is unchanged: {} was skipped", row.name);
        }
        if let Some(wrong) = self.wrong().first() {
            bail!("the table is unchanged: {wrong}");
        }
        let file = page.display();
        let text = fs::read_to_string(page).with_context(|| format!("cannot read {file}"))?;
        let parts = text.split_once(BEGIN);
        let parts = parts.and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        let Some((head, tail)) = parts else {
            bail!(
                "{file} has no lines {} and {END}; add them",
                BEGIN.trim_end()
            );
        };
        let table = self.markdown();
        fs::write(page, format!("{head}{BEGIN}\n{table}\n{END}{tail}"))
            .with_context(|| format!("cannot write {file}"))
    }
}

impl Row {
    fn cell(&self, format: Format, notes: &mut Notes) -> String {
        let unsupported = self.unsupported.iter().find(|entry| entry.format == format);
        if let Some(entry) = unsupported {
            return format!("– {}", notes.marks([entry.reason.as_str()]));
        }
        let Some(cell) = self.cells.iter().find(|cell| cell.format == format) else {
            return "not run".to_owned();
        };
        let wrong = cell.wrong().count();
        if wrong > 0 {
            return format!("**{wrong} wrong**");
        }
        let mut outcomes = cell.requests.iter();
        let deviating = outcomes
            .clone()
            .filter_map(|request| match &request.outcome {
                Outcome::Deviation(reason) => Some(reason.as_str()),
                _ => None,
            });
        let marks = notes.marks(deviating);
        if outcomes.all(|request| request.outcome == Outcome::Right) {
            return "✓".to_owned();
        }
        let all = cell.requests.len();
        let right = cell
            .requests
            .iter()
            .filter(|request| request.outcome == Outcome::Right);
        format!("{}/{all} {marks}", right.count())
    }
}

/// The footnotes without repetition, numbered in the order of their use.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn marks<'n>(&mut self, notes: impl IntoIterator<Item = &'n str>) -> String {
        let mut numbers = BTreeSet::new();
        for note in notes {
            let known = self.0.iter().position(|known| known == note);
            numbers.insert(known.unwrap_or_else(|| {
                self.0.push(note.to_owned());
                self.0.len() - 1
            }));
        }
        let numbers: Vec<_> = numbers
            .iter()
            .map(|number| (number + 1).to_string())
            .collect();
        format!("<sup>{}</sup>", numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Request;

    fn framework(name: &str) -> Framework {
        let yaml = format!(
            "{{ id: f, name: {name}, toolchain: go, app: chi, unsupported: {{ \
             function-url: no, alb: no, alb-multi-value: no, vpc-lattice-v1: no, \
             vpc-lattice-v2: never }} }}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn cell(format: Format, outcomes: impl IntoIterator<Item = Outcome>) -> Cell {
        let outcomes = outcomes.into_iter();
        let requests = outcomes.map(|outcome| Request {
            id: "query",
            outcome,
        });
        Cell {
            format,
            requests: requests.collect(),
        }
    }

    fn report(outcome: Outcome) -> Report {
        let mut report = Report::default();
        let cells = vec![
            cell(Format::ApigatewayV1, [Outcome::Right]),
            cell(Format::ApigatewayV2, [Outcome::Right, outcome]),
        ];
        report.ran(&framework("F"), cells);
        report
    }

    #[test]
    fn each_footnote_appears_once() {
        let report = report(Outcome::Deviation("no".to_owned()));
        let row = "\n| F | ✓ | 1/2 <sup>1</sup> | – <sup>1</sup> | – <sup>1</sup> | – <sup>1</sup> \
                   | – <sup>1</sup> | – <sup>2</sup> |\n";
        let markdown = report.markdown();
        assert!(markdown.contains(row), "{markdown}");
        assert!(markdown.ends_with("\n1. no\n2. never\n"), "{markdown}");
        assert_eq!(report.counts(), "2 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn the_page_gets_only_a_complete_table() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("compatibility.md");
        let before = format!("above\n{BEGIN}old\n{END}below\n");
        fs::write(&page, &before).unwrap();

        let wrong = report(Outcome::Wrong("status".to_owned()));
        assert_eq!(wrong.wrong(), ["F, apigateway-v2, query: status"]);
        assert_eq!(wrong.counts(), "1 passed, 1 failed, 0 skipped");
        let mut skipped = report(Outcome::Right);
        skipped.skipped(&framework("G"), "`go` is not on PATH".to_owned());
        assert_eq!(skipped.counts(), "2 passed, 0 failed, 2 skipped");
        for report in [wrong, skipped] {
            assert!(report.write_docs(&page).is_err());
            assert_eq!(fs::read_to_string(&page).unwrap(), before);
        }

        let whole = report(Outcome::Right);
        whole.write_docs(&page).unwrap();
        let after = format!("above\n{BEGIN}\n{}\n{END}below\n", whole.markdown());
        assert_eq!(fs::read_to_string(&page).unwrap(), after);
    }
}
