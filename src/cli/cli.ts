#!/usr/bin/env node
/**
 * Cli: where `owsla` begins. It loads nothing yet: what follows has to be so before all else.
 * From: the shell.  To: commandLine.ts, in a Node that is new enough and that no debugger
 * can enter by a signal.
 * Bound: a Node that is too old is one sentence and exit code 78.
 */
import { prepare } from '../base/runtime.ts';
import { ignoreSignals, ignoreSilently, RENEW_SIGNAL } from '../base/signals.ts';

if (prepare('owsla', process.argv, process.env.NODE_OPTIONS)) {
  // Other commands have a person at a terminal: they end with it.
  if (process.argv.includes('serve') || process.argv[2] === 'prove') {
    ignoreSignals();
    // Until the node is there, which reloads.
    ignoreSilently([RENEW_SIGNAL]);
  }
  await import('./commandLine.ts');
}
