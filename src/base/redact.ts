/**
 * Redact: takes passwords and tokens out of text that people or log stores will read.
 * From: log.ts (every line) and commandLine.ts (every sentence).
 * To: the same text with `***` instead.
 * Bound: pure and linear; it knows AMQP URLs and JSON fields named `token` or `password`.
 */

// Up to the last '@' before a space or quote: a password may hold an '@' that nobody escaped.
const URL_PASSWORD = /(amqps?:\/\/[^:@/\s"']*):[^\s"']*@/gi;
const JSON_FIELD = /("(?:token|password)"\s*:\s*)"(?:[^"\\]|\\.)*"/gi;

/** `text` with the password of each AMQP URL, and each JSON token or password, as `***`. */
export function redact(text: string): string {
  return text.replace(URL_PASSWORD, '$1:***@').replace(JSON_FIELD, '$1"***"');
}
