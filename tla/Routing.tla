------------------------------- MODULE Routing -------------------------------
(***************************************************************************)
(* Replies by connection id: a backend's reply reaches the link that its   *)
(* correlation id names, for a REQUEST that is still open there, or nobody.*)
(*                                                                         *)
(*   device --REQUEST--> acceptor --publish--> broker --> backend          *)
(*   device <--REPLY---- acceptor <--its own queue-- broker <-'            *)
(*                                                                         *)
(* One device comes back on new links, perhaps through another acceptor,   *)
(* and counts its messages from 1 again on each of them. Acceptors die,    *)
(* the broker forgets confirms, backends answer twice and late.            *)
(* docs/presence-spec.md shows how to read and run it.                     *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Acceptors,  \* how many run at a time
  Links,      \* how many links the device will ever have
  Requests,   \* how many REQUESTs it will send in all
  Kinds,      \* which faults may happen
  Faults,     \* how many of them, in any mixture
  Without     \* the rule left out, to see what it is good for; or "nothing"

VARIABLES
  links,    \* <<[acceptor, sent], ...>>: who holds, or held, it; how many REQUESTs it brought
  open,     \* links that are open now
  born,     \* incarnations of acceptors so far, each with a reply queue of its own
  alive,    \* those that run
  asked,    \* <<[link, id], ...>>, every REQUEST ever made; its place is its true identity
  waiting,  \* REQUESTs that their acceptor holds as unanswered
  window,   \* REQUESTs that their acceptor has not seen confirmed
  sent,     \* those of them that went out on the broker link of now
  backlog,  \* REQUESTs that wait for a backend
  replies,  \* [queue, link, id, of]: replies on their way. `of` is the REQUEST that it answers,
            \* which only this specification can see: no message carries it
  got,      \* <<[to, of, open], ...>>: every REPLY: the REQUEST that it went to, the one that it
            \* was made for, and whether its link was open
  stale,    \* was anything published that was answered or expired before?
  faults

vars == <<links, open, born, alive, asked, waiting, window, sent, backlog, replies, got, stale,
          faults>>

Has(rule) == Without # rule
Fault(kind) == kind \in Kinds /\ faults < Faults /\ faults' = faults + 1

Incarnations == 1 .. born

\* All that there can ever be.
AllIncarnations == 1 .. Acceptors + Faults
AllLinks == 1 .. Links
AllRequests == 1 .. Requests

LinksOf(i) == {l \in DOMAIN links : links[l].acceptor = i}
RequestsOf(ls) == {r \in DOMAIN asked : asked[r].link \in ls}

Init ==
  /\ links = <<>> /\ open = {} /\ born = Acceptors /\ alive = 1 .. Acceptors
  /\ asked = <<>> /\ waiting = {} /\ window = {} /\ sent = {}
  /\ backlog = {} /\ replies = {} /\ got = <<>> /\ stale = FALSE /\ faults = 0

-----------------------------------------------------------------------------
(* Links and acceptors. *)

Accept(i) ==
  /\ i \in alive /\ Len(links) < Links
  /\ links' = Append(links, [acceptor |-> i, sent |-> 0])
  /\ open' = open \union {Len(links')}
  /\ UNCHANGED <<born, alive, asked, waiting, window, sent, backlog, replies, got, stale, faults>>

\* A link ends, and nobody waits for its answers any more.
End(l) ==
  /\ l \in open
  /\ open' = open \ {l}
  /\ waiting' = IF Has("forget") THEN waiting \ RequestsOf({l}) ELSE waiting
  /\ UNCHANGED <<links, born, alive, asked, window, sent, backlog, replies, got, stale, faults>>

\* All that an acceptor knew goes with it. Its queue stays for a while; nobody reads it.
AcceptorExit(i) ==
  /\ i \in alive /\ Fault("acceptor")
  /\ alive' = alive \ {i}
  /\ open' = open \ LinksOf(i)
  /\ waiting' = waiting \ RequestsOf(LinksOf(i))
  /\ window' = window \ RequestsOf(LinksOf(i))
  /\ sent' = sent \ RequestsOf(LinksOf(i))
  /\ UNCHANGED <<links, born, asked, backlog, replies, got, stale>>

AcceptorStart ==
  /\ Cardinality(alive) < Acceptors
  /\ born' = born + 1 /\ alive' = alive \union {born'}
  /\ UNCHANGED <<links, open, asked, waiting, window, sent, backlog, replies, got, stale, faults>>

-----------------------------------------------------------------------------
(* Up: a REQUEST. *)

\* Ids rise on a link. A device that counts wrongly is refused; here it could use 1 for ever.
Request(l) ==
  /\ l \in open /\ Len(asked) < Requests
  /\ LET id == IF Has("idsRise") THEN links[l].sent + 1 ELSE 1 IN
     /\ links' = [links EXCEPT ![l].sent = @ + 1]
     /\ asked' = Append(asked, [link |-> l, id |-> id])
  /\ waiting' = waiting \union {Len(asked')}
  /\ window' = window \union {Len(asked')}
  /\ UNCHANGED <<open, born, alive, sent, backlog, replies, got, stale, faults>>

\* Published once on each broker link until it is confirmed, and only while it is unanswered.
Publish(r) ==
  /\ r \in window \ sent
  /\ IF r \in waiting \/ ~Has("onlyWanted")
     THEN /\ sent' = sent \union {r} /\ backlog' = backlog \union {r}
          /\ stale' = (stale \/ r \notin waiting)
          /\ UNCHANGED window
     ELSE window' = window \ {r} /\ UNCHANGED <<sent, backlog, stale>>
  /\ UNCHANGED <<links, open, born, alive, asked, waiting, replies, got, faults>>

Confirm(r) ==
  /\ r \in sent
  /\ window' = window \ {r} /\ sent' = sent \ {r}
  /\ UNCHANGED <<links, open, born, alive, asked, waiting, backlog, replies, got, stale, faults>>

BrokerLost ==
  /\ sent # {} /\ Fault("broker")
  /\ sent' = {}
  /\ UNCHANGED <<links, open, born, alive, asked, waiting, window, backlog, replies, got, stale>>

\* A backend answers. It may get the REQUEST again, and then answers again.
Serve(r) ==
  /\ r \in backlog
  /\ \/ backlog' = backlog \ {r} /\ UNCHANGED faults
     \/ Fault("again") /\ UNCHANGED backlog
  /\ LET to == asked[r] IN
     replies' = replies \union
       {[queue |-> links[to.link].acceptor, link |-> to.link, id |-> to.id, of |-> r]}
  /\ UNCHANGED <<links, open, born, alive, asked, waiting, window, sent, got, stale>>

-----------------------------------------------------------------------------
(* Down: the one REPLY. *)

\* The REQUEST r is answered with what was made for the REQUEST `of`.
Answer(r, of) ==
  /\ got' = Append(got, [to |-> r, of |-> of, open |-> asked[r].link \in open])
  /\ waiting' = waiting \ {r}

\* Owsla answers by itself: the deadline has come, or no queue is bound, or the broker said no.
OwnReply(r) ==
  /\ r \in waiting
  /\ Answer(r, r)
  /\ UNCHANGED <<links, open, born, alive, asked, window, sent, backlog, replies, stale, faults>>

\* Which REQUESTs a reply can be for: the one under that id on that very link, if unanswered.
Wanted(m) ==
  {r \in DOMAIN asked :
     /\ IF Has("byConnection") THEN asked[r].link = m.link ELSE asked[r].link \in open
     /\ asked[r].id = m.id
     /\ links[asked[r].link].acceptor = m.queue
     /\ IF Has("onlyOpen") THEN r \in waiting ELSE asked[r].link \in open}

\* A reply arrives: to the REQUEST that it is for, or to nobody. Acked either way.
Deliver ==
  /\ \E m \in replies :
       /\ m.queue \in alive
       /\ \/ replies' = replies \ {m} /\ UNCHANGED faults
          \/ Fault("again") /\ UNCHANGED replies
       /\ IF Wanted(m) = {} THEN UNCHANGED <<got, waiting>>
          ELSE \E r \in Wanted(m) : Answer(r, m.of)
  /\ UNCHANGED <<links, open, born, alive, asked, window, sent, backlog, stale>>

-----------------------------------------------------------------------------
World ==
  \/ \E i \in AllIncarnations : Accept(i) \/ AcceptorExit(i)
  \/ \E l \in AllLinks : End(l) \/ Request(l)
  \/ BrokerLost
System ==
  \/ AcceptorStart
  \/ \E r \in AllRequests : Publish(r) \/ Confirm(r) \/ Serve(r) \/ OwnReply(r)
  \/ Deliver
Next == World \/ System

\* The deadline of each REQUEST comes for certain.
Spec == Init /\ [][Next]_vars /\ WF_vars(\E r \in AllRequests : OwnReply(r))

-----------------------------------------------------------------------------
(* What must hold. *)

\* Never the wrong link, ...
RightLink == \A n \in DOMAIN got : asked[got[n].of].link = asked[got[n].to].link
\* ... never another REQUEST's answer, ...
RightRequest == \A n \in DOMAIN got : got[n].of = got[n].to

\* ... never a link that is closed.
OpenLink == \A n \in DOMAIN got : got[n].open

Times(r) == Cardinality({n \in DOMAIN got : got[n].to = r})
\* One REPLY while the link lives, from the backend or from Owsla; at most one if it ends.
ExactlyOne == \A r \in DOMAIN asked :
  /\ Times(r) <= 1
  /\ asked[r].link \in open => Times(r) = IF r \in waiting THEN 0 ELSE 1

\* Answered or expired, it is never published again: no door opens late.
NeverStale == ~stale

TypeOK ==
  /\ open \subseteq DOMAIN links /\ alive \subseteq Incarnations
  /\ waiting \subseteq DOMAIN asked /\ sent \subseteq window /\ window \subseteq DOMAIN asked

\* Nobody waits for ever.
AllAnswered == <>[](waiting = {})
=============================================================================
