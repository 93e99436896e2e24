/**
 * Table: rows as lines of text, in columns as wide as they have to be. Pure.
 * From: limitsTable.ts, askStatus.ts.  To: a terminal.
 * Bound: none of its own: the rows'.
 */

/** A line for each row; the last cell of a row is as long as it is. */
export function tableOf(rows: readonly (readonly string[])[]): string {
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
