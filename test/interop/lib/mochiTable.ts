/**
 * MochiTable: what Owsla makes of each packet of mochi-mqtt's table (v2.7.9): `KIND.CASE`, whether
 * the link stays, what is said in codes of the standard, and the packet's name there.
 * From: both standards, as docs/mqtt.md has them.  To: mochi.test.ts, which sends them.
 * Bound: a closed list. 14.165 and 14.166 set a Session Expiry which their CONNECT did not have.
 */
export const FATES = `
1.0 closed, connack 1: mqtt v3.1
1.1 open, connack 0: mqtt v3.1.1
1.2 closed, connack 140: mqtt v5
1.4 open, connack 0: mqtt 3.1.1, clean session
1.3 open, connack 0: mqtt 5 clean session, lwt
1.5 open, connack 0: mqtt 3.1.1, username, password
1.6 open, connack 0: mqtt 3.1.1, username, password, lwt
1.34 open, connack 0: username flag but 0 byte username
1.7 closed: malformed protocol name
1.8 closed: malformed protocol version
1.9 closed: malformed flags
1.10 closed: malformed keepalive
1.11 closed: malformed client id
1.12 closed: malformed will topic
1.13 closed: malformed will flag
1.14 closed: malformed username
1.25 closed, connack 129: username flag with no username bytes
1.15 closed: malformed password
1.16 closed: malformed fixedheader oversize
1.17 closed: reserved bit not 0
1.18 closed, connack 129: malformed properties
1.19 closed, connack 129: malformed will properties
1.20 no bytes: invalid protocol name
1.21 no bytes: invalid protocol version
1.22 no bytes: invalid protocol version
1.23 no bytes: reserved bit not 0
1.24 no bytes: client id too long
1.27 no bytes: has username but no flag
1.26 no bytes: has password flag but no password
1.28 no bytes: has password flag but no password
1.29 no bytes: username too long
1.30 no bytes: password too long
1.31 no bytes: will flag no payload
1.32 no bytes: will flag no payload
1.33 no bytes: no will flag surplus retain
1.35 closed: invalid utf8 string (a) - code point U+D800
1.36 closed: invalid utf8 string (b) - code point U+DFFF
1.37 closed: invalid utf8 string (c) - code point U+0000
1.38 closed, connack 2: utf8 string must not skip or strip code point U+FEFF
2.39 closed: accepted, no session
2.40 closed: accepted, session exists
2.42 closed, disconnect 130: accepted, no session, adjusted expiry interval mqtt5
2.41 closed, disconnect 130: accepted no session mqtt5
2.43 closed, disconnect 130: accepted min properties mqtt5
2.44 closed, disconnect 130: accepted min properties mqtt5b
2.45 closed, disconnect 130: server set keepalive
2.46 closed, disconnect 130: failure min properties mqtt5
2.48 closed: miscellaneous protocol violation
2.47 closed: bad protocol version
2.49 closed: bad client id
2.50 closed: server unavailable
2.51 closed: bad username or password
2.52 closed: bad username or password no session
2.53 closed, disconnect 130: mqtt5 bad username or password no session
2.54 closed: not authorised
2.58 closed, disconnect 130: drop oversize properties
2.59 closed, disconnect 130: drop oversize properties partial
2.55 closed: malformed session present
2.56 closed: malformed bad return Code
2.57 closed, disconnect 130: malformed properties
3.60 open: no payload
3.61 open: basic
3.64 closed, disconnect 129: mqtt v5
3.62 closed, disconnect 130: mqtt v5 topic alias only
3.63 open: mqtt basic v5
3.65 open, puback 0: qos:1, packet id
3.66 open, puback 0: mqtt v5
3.68 open, puback 0: qos:1, dup:true, packet id
3.67 open, puback 0: qos:1, packet id, no payload
3.69 closed: qos:2, packet id
3.70 closed, disconnect 155: mqtt v5
3.72 closed, disconnect 129: subscription identifiers
3.71 closed: qos:2, upgraded from publish to qos2 sub
3.73 open: retain
3.74 open: retain mqtt5
3.75 closed: dup
3.76 closed: malformed topic name
3.77 closed: malformed packet id
3.78 closed, disconnect 129: malformed properties
3.79 open: basic copyable
3.80 open: packet id must be 0 if qos is 0 (a)
3.81 closed: no packet id with qos > 0
3.82 open: drop oversized publish packet
3.83 no bytes: packet id must be 0 if qos is 0 (b)
3.84 no bytes: no packet id with qos > 0
3.85 no bytes: surplus subscription identifier
3.86 no bytes: topic contains wildcards
3.87 no bytes: topic contains wildcards 2
3.88 no bytes: no topic or alias specified
3.90 no bytes: topic alias over maximum
3.89 no bytes: topic alias flag and no alias
3.91 closed: deny publishing to $SYS topics
4.92 open: puback
4.93 open: mqtt5
4.94 open: QOS 1 publish not authorized mqtt5
4.97 open: unexpected error
4.95 closed: malformed packet id
4.96 closed, disconnect 129: malformed properties
5.98 closed: pubrec
5.99 closed, disconnect 130: pubrec mqtt5
5.100 closed, disconnect 130: packet id in use mqtt5
5.101 closed, disconnect 130: QOS 2 publish not authorized mqtt5
5.104 closed, disconnect 130: malformed reason code
5.105 no bytes: invalid reason code
5.102 closed: malformed packet id
5.103 closed, disconnect 130: malformed properties
6.106 closed: pubrel
6.107 closed, disconnect 130: pubrel mqtt5
6.108 closed, disconnect 130: mqtt5 no packet id ack
6.111 no bytes: invalid reason code
6.109 closed: malformed packet id
6.110 closed, disconnect 130: malformed properties
7.112 closed: pubcomp
7.113 closed, disconnect 130: mqtt5
7.114 closed, disconnect 130: mqtt5 no packet id ack
7.117 no bytes: invalid reason code
7.115 closed: malformed packet id
7.116 closed, disconnect 130: malformed properties
8.118 open, suback 128: subscribe
8.119 open, suback 128 128 128: many
8.120 closed, disconnect 161: mqtt5
8.121 open, suback 143: retain handling 1
8.122 open, suback 143: retain handling 2
8.123 open, suback 143: retain as published
8.133 no bytes: invalid filter
8.132 no bytes: shared and no local
8.124 closed: malformed packet id
8.125 closed: malformed topic
8.126 closed: malformed subscribe - qos
8.127 closed: malformed qos out of range
8.128 closed, disconnect 129: malformed properties
8.129 no bytes: no packet id with qos > 0
8.131 no bytes: no filters
8.134 no bytes: oversize identifier
8.130 closed: no packet id with qos > 0
9.135 closed: suback
9.136 closed: many
9.137 closed, disconnect 130: deny mqtt5
9.138 closed: unspecified error
9.139 closed, disconnect 130: unspecified error mqtt5
9.140 closed, disconnect 130: mqtt5
9.141 closed, disconnect 130: packet id in use
9.144 closed: malformed packet id
9.145 closed, disconnect 130: malformed properties
9.142 closed, disconnect 130: malformed packet id
9.143 closed, disconnect 130: invalid shared no local
10.146 open, unsuback: unsubscribe
10.147 open, unsuback: unsubscribe many
10.148 open, unsuback: mqtt5
10.149 closed: malformed packet id
10.150 closed: malformed topic
10.151 closed, disconnect 129: malformed properties
10.152 no bytes: no packet id with qos > 0
10.154 no bytes: no filters
10.153 closed: no packet id with qos > 0
11.155 closed: unsuback
11.156 closed, disconnect 130: unsuback many
11.157 closed, disconnect 130: mqtt5
11.158 closed, disconnect 130: packet id in use
11.159 closed: malformed packet id
11.160 closed, disconnect 130: malformed properties
12.161 open: ping request
13.162 closed: ping response
14.163 closed: disconnect
14.164 closed, disconnect 130: takeover
14.170 closed, disconnect 130: shutting down
14.165 closed, disconnect 130: mqtt5
14.166 closed, disconnect 130: mqtt5 disconnect with will message
14.167 closed: second connect packet mqtt5
14.173 closed: zero non zero expiry
14.168 closed: receive maximum mqtt5
14.169 closed, disconnect 129: drop oversize properties partial
14.171 closed, disconnect 129: malformed properties
14.172 closed: malformed reason code
15.174 closed, disconnect 130: auth
15.175 closed: malformed reason code
15.176 closed, disconnect 130: malformed properties
15.177 no bytes: invalid reason code
15.178 no bytes: invalid reason code
`;
