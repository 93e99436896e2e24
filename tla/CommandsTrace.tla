---------------------------- MODULE CommandsTrace ----------------------------
(***************************************************************************)
(* Is this trace a behaviour of Commands? As in PresenceTrace: each logged *)
(* line must be a step that Commands.tla allows at this point, with the    *)
(* same outcome. commandTrace.ts makes the module that defines Lines.      *)
(*                                                                         *)
(* Neither the broker nor a device writes lines. What they must have done  *)
(* for the next line to be possible is put in just before it: see Unseen.  *)
(* Nor has a trace a clock: whether a command is due is what its line says.*)
(***************************************************************************)
EXTENDS Commands, TLC

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

\* Takes the place of IsDue.
SaysDue(c) == IsAny({"Deliver", "Expire", "TakeCommand"}) /\ Line.c = c /\ Line.due = 1

\* The end that c has from this step on; "" when it has none, or had it before.
NewEnd(c) ==
  IF c \in Kept
  THEN IF row'[c] # row[c] /\ IsOver(row'[c]) THEN row'[c] ELSE ""
  ELSE IF ended'[c] # ended[c] THEN ended'[c] ELSE ""
EndFits == NewEnd(Line.c) = Line.end

-----------------------------------------------------------------------------
(* The registrar. *)

LineDeliver ==
  Is("Deliver") /\ (Line.again = 1) = (Line.c \in again) /\ Deliver(Line.c) /\ EndFits
LineAnswer ==
  /\ Is("Answer")
  /\ \/ \E n \in NextAnswers : up[n].c = Line.c /\ Answer(n)
     \/ \E n \in NextOf(behindUp) : behindUp[n].c = Line.c /\ AnswerBehind(n)
  /\ EndFits
LineExpire == Is("Expire") /\ Expire(Line.c) /\ EndFits
LineSend == Is("Send") /\ Send(Line.c)
LineLearn == Is("Learn") /\ Learn(Line.link)
LineShow == Is("Show") /\ Show
LineRepeat == Is("Repeat") /\ Repeat(Line.c)

\* Once more, after the registrar or its connection was lost: no harm, if only it is on record.
IsRecorded == Line.end = IF Line.c \in Kept THEN row[Line.c] ELSE ended[Line.c]
LineOutcome == End(Line.c, Line.end)
LinePublish ==
  /\ Is("Publish")
  /\ IF LineOutcome \in outbox \ flight THEN Publish(Line.c)
     ELSE IF Line.c \in settling THEN IsRecorded /\ Settled(Line.c)
     ELSE IsRecorded /\ Nothing
LineConfirm ==
  /\ Is("Confirm")
  /\ IF LineOutcome \in flight THEN Confirm(Line.c) ELSE IsRecorded /\ Nothing
LineSettleEarly == Is("SettleEarly") /\ SettleEarly(Line.c)
LineNothingComesAgain == Is("NothingComesAgain") /\ NothingComesAgain(Line.c)

-----------------------------------------------------------------------------
(* The acceptor. *)

LineAccept == Is("Accept") /\ Accept /\ link' = Line.link
LineLinkLost == Is("LinkLost") /\ IF link = Line.link THEN LinkLost ELSE Nothing

LineTakeCommand ==
  /\ Is("TakeCommand") /\ down # <<>>
  /\ Head(down).c = Line.c /\ Head(down).link = Line.link
  /\ TakeCommand
  /\ LET isOpen == Line.link = link IN
     CASE Line.as = "sent" -> ~(isOpen /\ Line.c \in atLink) /\ Line.c \in written' /\ up' = up
       \* An older link that is half-open knows what it was sent, too.
       [] Line.as = "known" -> IF isOpen THEN Line.c \in atLink ELSE Line.c \in written /\ up' = up
       [] Line.as = "gone" -> ~isOpen /\ written' = written
       [] Line.as \in {"expired", "busy"} -> isOpen /\ atLink' = atLink /\ Line.c \notin atLink
       [] OTHER -> FALSE

LineTakeAnswer ==
  /\ Is("TakeAnswer") /\ back # <<>>
  /\ Head(back) = Of(Line.what, Line.c) /\ Line.c \in atLink
  /\ TakeAnswer

-----------------------------------------------------------------------------
(* Moves. *)

LineOffer == Is("Offer") /\ Offer
LineCancel == Is("Cancel") /\ Cancel
LineGo == Is("Go") /\ Go
LinePredecessorExit == Is("PredecessorExit") /\ PredecessorExit
LineTakeBehind ==
  /\ Is("TakeBehind")
  /\ IF behind
     THEN /\ behindDown # <<>> /\ Head(behindDown) = Frame(Line.c, Line.link)
          /\ Line.as = IF Line.link = behindOf THEN "moved" ELSE "gone"
          /\ TakeBehind
     ELSE Nothing
LineBehindLost == Is("BehindLost") /\ IF behind THEN BehindLost ELSE Nothing

-----------------------------------------------------------------------------
(* Lives and deaths. *)

LineConnect == Is("Connect") /\ Connect
LineAcceptorExit ==
  /\ Is("AcceptorExit")
  /\ IF stream THEN AcceptorExit ELSE IF link # 0 THEN LinkLost ELSE Nothing
LineRegistrarCrash == Is("RegistrarCrash") /\ RegistrarCrash
LineRegistrarStart == Is("RegistrarStart") /\ RegistrarStart
LineChannelLost == Is("ChannelLost") /\ ChannelLost

\* Whoever wrote this line has waited until every sender was told.
LineRest ==
  /\ Is("Rest") /\ queue = {} /\ unsettled = {} /\ channel = <<>> /\ post = <<>>
  /\ open = {} /\ settling = {} /\ heldBack = {}
  /\ \A c \in Kept : \E o \in told : o.c = c
  /\ Nothing

-----------------------------------------------------------------------------
(* What nobody logs, each only where the next line needs it. *)

\* The broker reads what was written to it: acks, up to what is told behind them; outcomes, up to a
\* confirm; or any part of either, before a loss.
BrokerReads ==
  LET isOver == IsAny({"ChannelLost", "RegistrarCrash", "Rest"}) IN
  \/ /\ \/ isOver
        \/ Is("Publish") /\ Line.c \in settling /\ Ack(Line.c) \in Range(channel)
        \/ Is("Repeat") /\ Line.c \in unsettled
     /\ ArriveAck
  \/ /\ isOver \/ (Is("Confirm") /\ Tell(Line.c, Line.end) \in Range(post))
     /\ ArriveTell

BrokerCallsDelivered == Is("Deliver") /\ Line.again = 1 /\ Unread(Line.c)

\* A device takes what came before the command that it answers now, and this one.
DeviceAnswers == Is("TakeAnswer") /\ back = <<>> /\ (Get \/ Do(Line.c))

\* Answers that change nothing are not logged.
IsIdle(m) == ~Changes(m) /\ ~(m.c \in open)
IdleAnswer ==
  /\ IsAny({"Answer", "Connect", "Rest", "BehindLost", "Offer"})
  /\ \/ \E n \in NextAnswers : IsIdle(up[n]) /\ Answer(n)
     \/ \E n \in NextOf(behindUp) : IsIdle(behindUp[n]) /\ AnswerBehind(n)

\* The successor tells of the link that has moved, and there is nothing to send again.
ShowsNothing == IsLine /\ ~routed /\ window = {} /\ parked = {} /\ Show

\* A link is over when its device has a newer one, though nobody here may have noticed.
HalfOpen == Is("Accept") /\ link # 0 /\ LinkLost

\* The end of a stream, which both its ends see later.
StreamEnds ==
  \/ Is("Connect") /\ StreamLost
  \/ Is("Deliver") /\ Line.end = "offline" /\ known # 0 /\ AcceptorExit

Unseen ==
  ShowsNothing \/ BrokerReads \/ BrokerCallsDelivered \/ DeviceAnswers \/ IdleAnswer \/ HalfOpen \/ StreamEnds

\* A registrar that died may have committed the transaction that it was about to log, or not.
\* `skip` is the number of lines that stand or fall together.
Skipped ==
  /\ IsLine /\ Line.skip > 0
  /\ at' = at + Line.skip
  /\ UNCHANGED vars

Matched ==
  /\ \/ LineDeliver \/ LineAnswer \/ LineExpire \/ LineSend \/ LineLearn \/ LineShow \/ LineRepeat
     \/ LinePublish \/ LineConfirm \/ LineSettleEarly \/ LineNothingComesAgain
     \/ LineAccept \/ LineLinkLost \/ LineTakeCommand \/ LineTakeAnswer
     \/ LineOffer \/ LineCancel \/ LineGo \/ LinePredecessorExit \/ LineTakeBehind
     \/ LineBehindLost \/ LineConnect \/ LineAcceptorExit \/ LineRegistrarCrash \/ LineRegistrarStart
     \/ LineChannelLost \/ LineRest
  /\ Explained

\* How far has any explanation come? As in PresenceTrace.
Far == IF at' <= TLCGet(1) THEN TRUE ELSE TLCSet(1, at') /\ PrintT(<<"explained", at' - 1>>)

TraceInit == Began(FALSE) /\ at = 1 /\ TLCSet(1, 1)
TraceNext == (Matched \/ (Unseen /\ UNCHANGED at) \/ Skipped) /\ Far
TraceSpec == TraceInit /\ [][TraceNext]_traceVars
=============================================================================
