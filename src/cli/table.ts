/**
 * Table: rows as lines of text, in columns as wide as they have to be. Pure.
 * From: rows of cells, of which others may have written what is in them.  To: a terminal.
 * Bound: none of its own: the rows'. A cell has no control characters then, and a row is one line.
 */

/** A line for each row; the last cell of a row is as long as it is. */
export function tableOf(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map((cell) => cell.trimEnd().replaceAll(/\p{Cc}/gu, '?')));
  const columns = Math.max(...rows.map(({ length }) => length)) - 1;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) => {
    const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
    return cells.join('  ').trimEnd();
  });
  return lines.map((line) => `${line}\n`).join('');
}
