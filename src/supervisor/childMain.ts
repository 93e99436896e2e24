/**
 * ChildMain: where every forked process begins: it ignores signals before it loads anything.
 * From: the supervisor's fork.  To: child.ts.
 * Bound: while child.ts is loaded, only the loss of the supervisor ends this process.
 *
 * SIGHUP and stop signals reach the whole process group: only the supervisor reacts to them.
 */
import { ignoreSignals, ignoreSilently, RENEW_SIGNAL, STOP_SIGNALS } from '../base/signals.ts';

ignoreSilently([RENEW_SIGNAL, ...STOP_SIGNALS]);
ignoreSignals();

const onOrphaned = () => process.exit();
process.on('disconnect', onOrphaned);
const { beChild } = await import('./child.ts');
beChild();
process.off('disconnect', onOrphaned);
