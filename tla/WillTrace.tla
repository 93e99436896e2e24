------------------------------ MODULE WillTrace ------------------------------
(***************************************************************************)
(* Is this trace a behaviour of Will? As in PresenceTrace: each logged     *)
(* line must be a step that Will.tla allows at this point, and must change *)
(* the wills that it says, and no other. willTrace.ts makes the module     *)
(* that defines Lines.                                                     *)
(*                                                                         *)
(* Acceptors that have not started are as those that have ended. What no   *)
(* line says is put in just before the next one needs it: see Unseen.      *)
(***************************************************************************)
EXTENDS Will, TLC

CONSTANT Lines  \* <<[action, ...], ...>>
VARIABLE at     \* the line that has to be explained next

traceVars == <<vars, at>>

IsLine == at <= Len(Lines)
Line == Lines[at]
Is(action) == IsLine /\ Line.action = action
IsAny(actions) == IsLine /\ Line.action \in actions
Explained == at' = at + 1

\* The line changes nothing that this specification knows.
Nothing == UNCHANGED vars
Range(s) == {s[n] : n \in DOMAIN s}

\* Wills are as the lines of this step have left them, and all others as they were.
Stands(c) ==
  LET changes == {e \in Range(Line.wills) : e.c = c}
  IN IF changes = {} THEN will[c] ELSE (CHOOSE e \in changes : TRUE).is
WillsFit == \A c \in Connections : will'[c] = Stands(c)

-----------------------------------------------------------------------------
(* Acceptors. *)

LineAccept == Is("Accept") /\ Accept(Line.acceptor, Line.delayed = 1, Line.rules, Line.clean = 1)
LineEnd ==
  /\ Is("End") /\ Line.c \in open
  /\ CASE Line.reason = "peer-bye" -> SayGoodbye(Line.c)
       [] Line.reason = "taken-over" ->
            \* The word of a registrar that has died since.
            IF registrar THEN TakeOver(HeldBy(Line.c), Line.c) ELSE End(Line.c)
       [] OTHER -> End(Line.c)
LineConnect == Is("Connect") /\ Connect(Line.acceptor)

\* What an acceptor says before it sees that the registrar died goes nowhere.
ToNobody(i) == state[i] = "off" /\ Nothing
Writes(what) == untold[Line.c] = what /\ Write(Line.c)
LineWriteUp == Is("WriteUp") /\ (ToNobody(HeldBy(Line.c)) \/ Writes("begun"))
LineHandOver == Is("HandOver") /\ (ToNobody(HeldBy(Line.c)) \/ Writes("owed"))
\* Connect has put those that were remembered into the stream.
LineWriteDown ==
  /\ Is("WriteDown")
  /\ \/ ToNobody(HeldBy(Line.c)) \/ Writes("ended")
     \/ /\ untold[Line.c] = "nothing" /\ Nothing
        /\ Message("down", Line.c) \in Range(stream[HeldBy(Line.c)])
LineHandOverEnd ==
  Is("HandOverEnd") /\ (ToNobody(Line.acceptor) \/ HandOverEnd(Line.acceptor))
LineTellWill == Is("TellWill") /\ Line.c \in open /\ TellWill(HeldBy(Line.c), Line.c)
\* What was asked about has been decided meanwhile.
LineTellAll == Is("TellAll") /\ IF asking = NotAsking THEN Nothing ELSE TellAll(Line.acceptor)

-----------------------------------------------------------------------------
(* The registrar. *)

IsNext(c) == stream[Line.acceptor] # <<>> /\ Head(stream[Line.acceptor]).connection = c

LineUp ==
  /\ Is("Up") /\ IsNext(Line.c) /\ Up(Line.acceptor) /\ WillsFit
  /\ IF Line.named = 1 THEN row' # row /\ row' = [online |-> TRUE, connection |-> Line.c]
     ELSE row' = row
LineDown == Is("Down") /\ IsNext(Line.c) /\ Down(Line.acceptor) /\ WillsFit
LineHearWill == Is("HearWill") /\ IsNext(Line.c) /\ HearWill(Line.acceptor) /\ WillsFit
LineHandedOver == Is("HandedOver") /\ HandedOver(Line.acceptor) /\ WillsFit
LineHearAllTold ==
  Is("HearAllTold") /\ IF asking = NotAsking THEN Nothing ELSE HearAllTold(Line.acceptor)
LineExitSeen ==
  /\ Is("ExitSeen") /\ row = [online |-> TRUE, connection |-> Line.c]
  /\ ExitSeen(Line.acceptor) /\ WillsFit

\* One that was cancelled meanwhile is asked about in vain.
Asked == {e.c : e \in Range(Line.due)}
HasPassed(c) == will[c] = "waits" => passed[c] > 0
LineAsk ==
  /\ Is("Ask") /\ \A c \in Asked : HasPassed(c)
  /\ LET due == {c \in Asked : IsDue(c)} IN IF due = {} THEN Nothing ELSE AskFor(due)
LineDue == Is("Due") /\ (IF asking = NotAsking THEN Nothing ELSE Due) /\ WillsFit

\* Once more, after the registrar or its connection was lost: no harm, if only it is recorded.
LinePublish ==
  Is("Publish") /\ IF Line.c \in published THEN Nothing ELSE Publish(Line.c)
LineConfirm ==
  Is("Confirm") /\ IF Line.c \in published \ outbox THEN Nothing ELSE Confirm(Line.c)

-----------------------------------------------------------------------------
(* Lives and deaths. *)

LineAcceptorStart ==
  /\ Is("AcceptorStart")
  /\ alive' = alive \union {Line.acceptor} /\ seen' = seen \ {Line.acceptor}
  /\ UNCHANGED <<links, open, said, late, told, registrar, shown, asking, store, published, faults,
                 books>>
LineAcceptorExit == Is("AcceptorExit") /\ AcceptorExit(Line.acceptor)
LineRegistrarCrash == Is("RegistrarCrash") /\ RegistrarCrash
LineRegistrarStart == Is("RegistrarStart") /\ RegistrarStart

\* Whoever wrote this line has waited until all was quiet.
LineRest == Is("Rest") /\ AtRest /\ NoneWrong /\ NoneLost /\ NoneForgotten /\ Nothing

-----------------------------------------------------------------------------
(* What no line says, each only where the next line needs it. *)

\* The delay is over: as late as can be.
Passes == Is("Ask") /\ \E c \in Asked : Pass(c)

\* The registrar knows of an exit that concerns no row.
Gone == {i \in Acceptors \ (alive \union seen) : ~(row.online /\ HeldBy(row.connection) = i)}
ExitHeard ==
  /\ IsAny({"Ask", "Due", "Rest"}) /\ Gone # {}
  /\ ExitSeen(CHOOSE i \in Gone : \A j \in Gone : i <= j)

\* An acceptor has read, or has not yet, that an end is on record.
Forgets ==
  /\ IsAny({"Connect", "RegistrarCrash", "Rest"})
  /\ \E n \in notices : n.kind = "gone" /\ Forget(n.to, n.link)

\* What is said of links that are over does nothing any more.
Idle ==
  /\ Is("Rest")
  /\ \E n \in notices : n.link # 0 /\ n.link \notin open /\
       (TellWill(n.to, n.link) \/ TakeOver(n.to, n.link))

Unseen == Passes \/ ExitHeard \/ Forgets \/ Idle

\* A registrar that died may have committed the transaction that it was about to log, or not.
\* `skip` is the number of lines that stand or fall together.
Skipped ==
  /\ IsLine /\ Line.skip > 0
  /\ at' = at + Line.skip
  /\ UNCHANGED vars

Matched ==
  /\ \/ LineAccept \/ LineEnd \/ LineConnect \/ LineWriteUp \/ LineHandOver \/ LineWriteDown
     \/ LineHandOverEnd \/ LineTellWill \/ LineTellAll
     \/ LineUp \/ LineDown \/ LineHearWill \/ LineHandedOver \/ LineHearAllTold \/ LineExitSeen
     \/ LineAsk \/ LineDue \/ LinePublish \/ LineConfirm
     \/ LineAcceptorStart \/ LineAcceptorExit \/ LineRegistrarCrash \/ LineRegistrarStart \/ LineRest
  /\ Explained

\* How far has any explanation come? As in PresenceTrace.
Far == IF at' <= TLCGet(1) THEN TRUE ELSE TLCSet(1, at') /\ PrintT(<<"explained", at' - 1>>)

TraceInit == Began({}, "off") /\ at = 1 /\ TLCSet(1, 1)
TraceNext == (Matched \/ (Unseen /\ UNCHANGED at) \/ Skipped) /\ Far
TraceSpec == TraceInit /\ [][TraceNext]_traceVars
=============================================================================
