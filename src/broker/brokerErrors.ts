/**
 * BrokerErrors: why the broker cannot be used, as one sentence for the operator. Pure.
 * From: errors of amqplib, at a connect or a declaration.  To: preflight.ts, connection.ts.
 * Bound: no sentence holds a password; the cause decides whether waiting can help.
 */
import { parseAmqpUrl } from '../base/amqpUrl.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { withPort } from '../base/networks.ts';
import { redact } from '../base/redact.ts';

/** Where a broker is, without user and password: `127.0.0.1:5672`. */
export function brokerAddress(amqp: string): string {
  const { hostname, port } = parseAmqpUrl(amqp);
  return withPort(hostname, port);
}

/**
 * The StartError for an amqplib error. `unavailable`: not there now, waiting may help.
 * `config`: the broker's answer was no, and it will be no again.
 */
export function brokerError(error: unknown, amqp: string): StartError {
  const text = messageOf(error);
  const address = brokerAddress(amqp);
  const { username: user, vhost: ownVhost } = parseAmqpUrl(amqp);
  const mismatch =
    /PRECONDITION_FAILED - inequivalent arg '([^']+)' for (\w+) '([^']+)'[^:]*: (.*)/s;
  const found = mismatch.exec(text);
  if (found) {
    const [, argument, kind, subject, difference] = found;
    return no(
      `the ${kind} '${subject}' already exists at the broker ${address} with another '${argument}' (${tidy(difference)}); delete it there, or start with the limits and the queue type it was created with`,
    );
  }
  const denied = /ACCESS[_-]REFUSED - .*access to (\w+) '([^']+)' in vhost '([^']*)' refused/s.exec(
    text,
  );
  if (denied) {
    const [, kind, subject, vhost] = denied;
    return no(
      `the broker ${address} does not let user '${user}' declare or use the ${kind} '${subject}' in vhost '${vhost}'; give it the permissions in docs/amqp.md`,
    );
  }
  // amqplib says no more than this when the broker closes instead of opening the vhost.
  if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(text)) {
    return no(
      `the broker ${address} did not open vhost '${ownVhost}' for user '${user}': it does not exist, or the user has no permissions in it`,
    );
  }
  if (/ACCESS[_-]REFUSED/.test(text)) {
    return no(`the broker ${address} refused the name or password of user '${user}'`);
  }
  if (/NOT_ALLOWED|PRECONDITION_FAILED|COMMAND_INVALID|NOT_IMPLEMENTED/.test(text)) {
    return no(`the broker ${address} refused: ${tidy(text)}`);
  }
  return new StartError(
    EXIT.unavailable,
    `cannot reach the broker ${address}: ${tidy(whyUnreachable(error, text))}`,
  );
}

function no(sentence: string): StartError {
  return new StartError(EXIT.config, redact(sentence));
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join(', ');
  }
  return error instanceof Error ? error.message : String(error);
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens on that port',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name could not be resolved',
  ETIMEDOUT: 'it did not answer in time',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the host',
  ECONNRESET: 'it closed the connection',
};

function whyUnreachable(error: unknown, text: string): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code !== undefined && SYSTEM_REASONS[code]) return SYSTEM_REASONS[code];
  if (/ETIMEDOUT/.test(text)) return 'it did not answer in time';
  if (/Socket closed abruptly/.test(text)) return 'it closed the connection';
  return text;
}

/** One line, without the broker's own quotes and codes around it. */
function tidy(text = ''): string {
  return redact(text.replace(/\s+/g, ' ').replace(/^"|"$/g, '').trim());
}
