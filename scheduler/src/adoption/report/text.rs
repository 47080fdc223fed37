//! The report for people.

use std::fmt::{self, Write as _};

use super::{Counts, Differing, NAMED, NotBrought, Remark, Report, Scheduled};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tense = if self.dry_run { "would be imported" } else { "was imported" };
        let Self { source, server, time_zone, .. } = self;
        writeln!(f, "What {tense} from {source} ({server}, times in {time_zone}):\n")?;
        writeln!(
            f,
            "{:<22}{:>9}{:>9}{:>11}{:>9}{:>9}",
            "", "read", "created", "unchanged", "changed", "skipped"
        )?;
        for (kind, counts) in &self.counts {
            let Counts { read, created, unchanged, changed, skipped } = counts;
            let kind = kind.name();
            writeln!(f, "{kind:<22}{read:>9}{created:>9}{unchanged:>11}{changed:>9}{skipped:>9}")?;
        }
        for (title, remarks) in [
            ("Left out", &self.skipped),
            ("Changed there, and now here", &self.changed),
            ("Changed on both sides: stays as it is here", &self.kept),
            ("Imported otherwise than it is there", &self.remarks),
        ] {
            section(f, title, remarks.iter().map(ToString::to_string))?;
        }
        let differences = self.differences.iter().map(ToString::to_string);
        section(
            f,
            "Variables that have another value here (see docs/environment.md)",
            differences,
        )?;
        let ids = self
            .ids
            .iter()
            .take(NAMED)
            .map(|moved| format!("{} {} is {} here", moved.kind.name(), moved.from, moved.to));
        section(f, "Other ids", ids)?;
        if self.ids.len() > NAMED {
            writeln!(f, "  and {} more: --format json has all", self.ids.len() - NAMED)?;
        }
        section(
            f,
            "Schedules, as they are here: what is on there too runs twice, so switch it off there",
            self.schedules.iter().map(ToString::to_string),
        )?;
        let mut lines = Vec::new();
        for (what, NotBrought { count, hint, items }) in &self.not_brought {
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            lines.push(format!("{what}: {count}{hint}"));
            lines.extend(items.iter().map(|item| format!("  {item}")));
        }
        section(f, "Not imported", lines.into_iter())?;
        section(f, "About the source", self.of_the_source.iter().cloned())?;
        if let Some(database) = &self.new_database {
            writeln!(f, "\n{database} is no database of a scheduler yet: an import makes it one.")?;
        }
        if self.dry_run {
            f.write_str("\nNothing was written.\n")?;
        }
        Ok(())
    }
}

fn section(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    lines: impl Iterator<Item = String>,
) -> fmt::Result {
    for (number, line) in lines.enumerate() {
        if number == 0 {
            writeln!(f, "\n{title}:")?;
        }
        writeln!(f, "  {}", plain(&line))?;
    }
    Ok(())
}

/// A line without what would move the cursor of a terminal.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() {
            let _ = write!(text, "{}", c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        let more = self.count.saturating_sub(ids.len() as u64);
        let ids = ids.join(", ");
        let kind = self.kind.name();
        match (self.count, more) {
            (1, _) => write!(f, "{kind} {ids}: {}", self.text),
            (count, 0) => write!(f, "{count} × {kind} ({ids}): {}", self.text),
            (count, more) => {
                write!(f, "{count} × {kind} ({ids} and {more} more): {}", self.text)
            }
        }
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_template, name, schedule, time_zone, next, on_there } = self;
        write!(f, "run template {run_template} {name:?}: {schedule} in {time_zone}, ")?;
        match next {
            Some(next) => write!(f, "next {next}")?,
            None => f.write_str("starts nothing")?,
        }
        f.write_str(if *on_there { "; on there too" } else { "; off there" })
    }
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_template, name, variable, there, there_by, here, here_by } = self;
        write!(
            f,
            "run template {run_template} {name:?}: {variable} is {here:?} here (by the {here_by}), \
             and {there:?} there (by the {there_by})"
        )
    }
}
