//! Tables without lines, in the width of the terminal.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::visible;

/// Tables have colours where they are asked for, also if NO_COLOR is set.
pub(super) fn force_colours() {
    crossterm::style::force_color_output(true);
}

fn table(colours: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    // A terminal without a window says so.
    if table.width() == Some(0) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table
}

/// The states of jobs stand out; everything else is plain.
fn cell(text: &str) -> Cell {
    let colour = match text {
        "succeeded" | "connected" => Some(Color::Green),
        "failed" | "lost" | "timed_out" => Some(Color::Red),
        "cancelled" | "unreachable" => Some(Color::Yellow),
        "running" | "finishing" | "offered" => Some(Color::Cyan),
        _ => None,
    };
    let cell = Cell::new(visible(text));
    match colour {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}

fn text(table: &mut Table) -> String {
    // The first column begins at the line's beginning.
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// A list.
pub(super) fn rows(header: &[&str], rows: Vec<Vec<String>>, colours: bool) -> String {
    let mut table = table(colours);
    let header = header.iter().map(|name| {
        let cell = Cell::new(name);
        if colours { cell.add_attribute(Attribute::Bold) } else { cell }
    });
    table.set_header(header.collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)).collect::<Vec<_>>());
    }
    text(&mut table)
}

/// The fields of one thing; those without a value are left out.
pub(super) fn fields(fields: &[(&str, String)], colours: bool) -> String {
    let mut table = table(colours);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row(vec![Cell::new(name), cell(value)]);
    }
    text(&mut table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_without_colours() {
        let list = rows(&["ID", "STATE"], vec![vec!["7".into(), "failed".into()]], false);
        assert_eq!(list, "ID  STATE\n7   failed\n");
        let one = fields(&[("id", "7".into()), ("note", String::new())], false);
        assert_eq!(one, "id  7\n");
    }

    #[test]
    fn states_have_their_colours() {
        let list = rows(&["STATE"], vec![vec!["failed".into()]], true);
        assert!(list.contains("\u{1b}["), "{list:?}");
    }
}
