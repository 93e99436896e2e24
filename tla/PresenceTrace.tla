---------------------------- MODULE PresenceTrace ----------------------------
(***************************************************************************)
(* Is this trace a behaviour of Presence? Each logged line must be a step  *)
(* that Presence.tla allows at this point, with the same outcome.          *)
(*                                                                         *)
(* trace.ts turns the lines that acceptors and the registrar wrote into a  *)
(* module that defines Lines; its header says what a line looks like. What *)
(* no process can log of itself (that it died) trace.ts puts in where it   *)
(* shows. TLC follows every way to explain the lines, and the trace is     *)
(* accepted if one of them comes to the last line.                         *)
(***************************************************************************)
EXTENDS Presence, TLC

CONSTANT Lines  \* <<[action, ...], ...>>
VARIABLE at     \* the line that has to be explained next

traceVars == <<vars, at>>

Line == Lines[at]
Is(action) == at <= Len(Lines) /\ Line.action = action
Explained == at' = at + 1

\* The line changes nothing that this specification knows.
Nothing == UNCHANGED vars

\* Behind a change: the row that it left, by its seq; 0 says that it changed none.
\* (A move changes whom it names, and no seq.)
SeqFits(d) ==
  IF Line.seq = 0 THEN \A e \in Devices : WordOf(row'[e]) = WordOf(row[e])
  ELSE row'[d].seq = Line.seq /\ row' # row

IsNextOf(i, kind, c) == IsNext(i, kind) /\ Head(stream[i]).connection = c

-----------------------------------------------------------------------------
(* Acceptors. *)

FromPredIs(i, kind) == PredSays(i, kind) /\ FromPred(i).connection = Line.connection
FromHeirIs(i, kind) == HeirSays(i, kind) /\ FromHeir(i).connection = Line.connection

LineAccept == Is("Accept") /\ AcceptAt(Line.acceptor, Line.device, Line.tick)
LineEnd == Is("End") /\ End(Line.connection)
\* At once; or of a link that was offered, when it has come back.
LineTakeOver ==
  /\ Is("TakeOver") /\ Line.connection \in open
  /\ \E i \in alive :
       \/ <<i, Line.connection>> \in reads /\ TakeOver(i, Line.connection)
       \/ <<i, Line.connection>> \in doomed /\ FromHeirIs(i, "dropped") /\ ReadOn(i)
LineDoom == Is("Doom") /\ TakeOver(Line.acceptor, Line.connection) /\ doomed' # doomed
LineConnect == Is("Connect") /\ Connect(Line.acceptor)

\* What an acceptor says before it sees that the registrar died goes nowhere.
ToNobody == state[Line.acceptor] = "off" /\ Nothing
LineHandOver == Is("HandOver") /\ (ToNobody \/ HandOver(Line.connection))
LineHandOverEnd == Is("HandOverEnd") /\ (ToNobody \/ HandOverEnd(Line.acceptor))
LineWriteUp == Is("WriteUp") /\ (ToNobody \/ WriteUp(Line.connection))
\* Ends of links with a will are told again by each hand-over (Will!Connect): a registrar may have
\* read one and died. To presence it is a word that comes late, and true.
ToldAgain(c) ==
  /\ c \notin open /\ untold[c] = "nothing" /\ Told(holder[c], Message("down", c))
  /\ UNCHANGED <<truth, moves, node, state, untold, notices, declared, memory, store, flight,
                 subscribers, faults>>
LineWriteDown ==
  Is("WriteDown") /\ (ToNobody \/ WriteDown(Line.connection) \/ ToldAgain(Line.connection))
LineStreamLost == Is("StreamLost") /\ (ToNobody \/ StreamLost(Line.acceptor))

-----------------------------------------------------------------------------
(* Moves. *)

LineOffer == Is("Offer") /\ Offer(Line.acceptor, Line.connection)
LineCancel == Is("Cancel") /\ Cancel(Line.acceptor, Line.connection)
LineGo ==
  /\ Is("Go") /\ FromHeirIs(Line.acceptor, "ready") /\ Go(Line.acceptor)
  /\ <<Line.acceptor, Line.connection>> \in given'
LineReadOn == Is("ReadOn") /\ FromHeirIs(Line.acceptor, "dropped") /\ ReadOn(Line.acceptor)
LineSuccessorGone == Is("SuccessorGone") /\ SuccessorGone(Line.acceptor)

\* By the successor, whose predecessor is i.
ByHeir(i) == i \in Incarnations /\ heir[i] = Line.acceptor
LineAdopt ==
  Is("Adopt") /\ \E i \in Incarnations : ByHeir(i) /\ FromPredIs(i, "offer") /\ Adopt(i)
LineRefuse ==
  Is("Refuse") /\ \E i \in Incarnations : ByHeir(i) /\ FromPredIs(i, "offer") /\ Refuse(i)
LineTakeGo ==
  Is("TakeGo") /\ \E i \in Incarnations : ByHeir(i) /\ FromPredIs(i, "go") /\ TakeGo(i)
LineDrop == Is("Drop") /\ \E i \in Incarnations : ByHeir(i) /\ FromPredIs(i, "cancel") /\ Drop(i)
LinePredecessorGone ==
  Is("PredecessorGone") /\ \E i \in Incarnations : ByHeir(i) /\ PredecessorGone(i)
LineTellHeir ==
  /\ Is("TellHeir")
  /\ ToNobody \/ \E i \in Incarnations : ByHeir(i) /\ TellHeir(Line.acceptor, i)
LineHeir == Is("Heir") /\ Heir(Line.acceptor)

\* TellRecorded has no line: what it takes off the list of moved links has no effect any more.
\* No line says that "ready" came too late.
LateReady ==
  /\ at <= Len(Lines)
  /\ \E i \in alive :
       HeirSays(i, "ready") /\ <<i, FromHeir(i).connection>> \notin offered \ cancelled /\ Go(i)
  /\ UNCHANGED at

-----------------------------------------------------------------------------
(* Lives and deaths. *)

LineSuccessorStart ==
  Is("SuccessorStart") /\ SuccessorStart(Line.of) /\ born' = Line.acceptor

LineJoin == Is("Join") /\ Join(Line.of, Line.acceptor)

LineAcceptorStart == Is("AcceptorStart") /\ AcceptorStart /\ born' = Line.acceptor
LineAcceptorExit == Is("AcceptorExit") /\ AcceptorExit(Line.acceptor)
\* A registrar that came later says it again.
LineExitSeen ==
  Is("ExitSeen") /\ IF Line.acceptor \in ended THEN Nothing ELSE ExitSeen(Line.acceptor)
LineRegistrarCrash == Is("RegistrarCrash") /\ RegistrarCrash
LineRegistrarStart == Is("RegistrarStart") /\ RegistrarStart
LineNodeStart == Is("NodeStart") /\ NodeStart

-----------------------------------------------------------------------------
(* The registrar. *)

\* No line says when it reads the beginning of a newer stream: just before it needs to.
Beginning ==
  /\ at <= Len(Lines) /\ Line.action \in {"Up", "Hold", "Down", "HandedOver", "Heir"}
  /\ Begin(Line.acceptor)
  /\ UNCHANGED at

LineUp ==
  /\ Is("Up")
  /\ \/ IsNextOf(Line.acceptor, "up", Line.connection) /\ Up(Line.acceptor)
     \/ held[Line.device].connection = Line.connection /\ HeldUp(Line.device)
  /\ SeqFits(Line.device)
\* An older one came, and was outdone: the one that waits goes on waiting.
WaitsOn == held[Line.device].connection = Line.connection /\ Nothing
LineHold ==
  /\ Is("Hold")
  /\ \/ WaitsOn
     \/ IsNextOf(Line.acceptor, "up", Line.connection) /\ Hold(Line.acceptor)
LineDown ==
  /\ Is("Down")
  /\ IsNextOf(Line.acceptor, "down", Line.connection) /\ Down(Line.acceptor)
  /\ SeqFits(Line.device)
LineHandedOver == Is("HandedOver") /\ HandedOver(Line.acceptor)

IsNamed == row[Line.device].connection = Line.connection
LineMissed == Is("Missed") /\ IsNamed /\ Missed(Line.device) /\ SeqFits(Line.device)
LineAcceptorEnded ==
  Is("AcceptorEnded") /\ IsNamed /\ AcceptorEnded(Line.device) /\ SeqFits(Line.device)

LineCompact == Is("Compact") /\ IF outbox = Newest(outbox) THEN Nothing ELSE Compact

\* Once more, or one that was compacted away meanwhile: no harm, if only it was recorded.
IsIn(events) == \E e \in events : e.device = Line.device /\ e.seq = Line.seq
IsRecorded == Line.seq <= row[Line.device].seq
LinePublish ==
  /\ Is("Publish")
  /\ IF IsIn(outbox \ flight) THEN Publish(Line.device, Line.seq) ELSE IsRecorded /\ Nothing
LineConfirm ==
  /\ Is("Confirm")
  /\ IF IsIn(flight) THEN Confirm(Line.device, Line.seq) ELSE IsRecorded /\ Nothing

\* Whoever wrote this line has waited until all was quiet.
LineRest == Is("Rest") /\ outbox = {} /\ (\A d \in Devices : RowRight(d)) /\ Nothing

-----------------------------------------------------------------------------

\* A registrar that died may have committed the transaction that it was about to log, or not.
\* `skip` is the number of lines that stand or fall together.
Skipped ==
  /\ at <= Len(Lines) /\ Line.skip > 0
  /\ at' = at + Line.skip
  /\ UNCHANGED vars

Matched ==
  /\ \/ LineAccept \/ LineEnd \/ LineTakeOver \/ LineConnect
     \/ LineDoom \/ LineOffer \/ LineCancel \/ LineGo \/ LineReadOn \/ LineSuccessorGone
     \/ LineAdopt \/ LineRefuse \/ LineTakeGo \/ LineDrop \/ LinePredecessorGone
     \/ LineSuccessorStart \/ LineJoin \/ LineTellHeir \/ LineHeir
     \/ LineHandOver \/ LineHandOverEnd \/ LineWriteUp \/ LineWriteDown \/ LineStreamLost
     \/ LineAcceptorStart \/ LineAcceptorExit \/ LineExitSeen
     \/ LineRegistrarCrash \/ LineRegistrarStart \/ LineNodeStart
     \/ LineUp \/ LineHold \/ LineDown \/ LineHandedOver \/ LineMissed \/ LineAcceptorEnded
     \/ LineCompact \/ LinePublish \/ LineConfirm \/ LineRest
  /\ Explained

\* How far has any explanation come? judge.ts reads the last of what is printed. Register 1 has the
\* maximum, for one thread only.
Far == IF at' <= TLCGet(1) THEN TRUE ELSE TLCSet(1, at') /\ PrintT(<<"explained", at' - 1>>)

TraceInit == Began(0) /\ at = 1 /\ TLCSet(1, 1)
TraceNext == (Matched \/ Beginning \/ LateReady \/ Skipped) /\ Far
TraceSpec == TraceInit /\ [][TraceNext]_traceVars
=============================================================================
