/**
 * MosquittoTests: every test of mosquitto's own that its source has for its broker, by name: those
 * that pass, unchanged, and why another one is not for Owsla.
 * From: mosquitto 2.0.11 of Debian, test/broker.  To: mosquittoBroker.test.ts.
 * Bound: a closed list: the test compares it with the folder.
 */

/** All are run by `make interop`. */
export const PASSES: readonly string[] = `
  01-connect-bad-packet 01-connect-connack-2163 01-connect-invalid-id-missing
  01-connect-invalid-id-utf8 01-connect-invalid-protonum 01-connect-invalid-reserved
  01-connect-success 01-connect-uname-invalid-utf8 01-connect-uname-no-flag
  01-connect-uname-password-success-no-tls 01-connect-uname-pwd-no-flag
  02-subpub-qos0-topic-alias-unknown 02-subscribe-invalid-utf8 02-unsubscribe-invalid-no-topic
  02-unsubscribe-qos0 02-unsubscribe-qos1 02-unsubscribe-qos2 03-publish-invalid-utf8
  03-publish-qos1 03-publish-qos1-max-inflight 03-publish-qos1-no-subscribers-v5
  07-will-invalid-utf8 07-will-no-flag 09-auth-bad-method 09-extended-auth-unsupported
  09-plugin-auth-acl-sub-denied 09-plugin-auth-context-params 09-plugin-auth-defer-unpwd-success
  09-plugin-auth-unpwd-success 09-plugin-auth-v2-unpwd-success 12-prop-server-keepalive
  12-prop-session-expiry-invalid 12-prop-maximum-packet-size-connect
`
  .trim()
  .split(/\s+/);

/** Why not, and which. */
export const NOT_FOR_US: Readonly<Record<string, string>> = {
  'QoS 2, which is refused': `
  02-subpub-qos2 02-subpub-qos2-1322 02-subpub-qos2-bad-puback-1 02-subpub-qos2-bad-puback-2
  02-subpub-qos2-bad-pubcomp 02-subpub-qos2-pubrec-error 02-subpub-qos2-receive-maximum-1
  02-subpub-qos2-receive-maximum-2 02-subscribe-qos2 02-unsubscribe-qos2-multiple
  03-publish-b2c-disconnect-qos2 03-publish-b2c-qos2-len 03-publish-c2b-disconnect-qos2
  03-publish-c2b-qos2-len 03-publish-qos2 03-publish-qos2-dup 03-publish-qos2-max-inflight
  12-prop-maximum-packet-size-publish-qos2
  `,
  'Session Present is 0 here': `
  05-clean-session-qos1 05-session-expiry-v5
  `,
  'a CONNECT of 65 kB: longer than helloBytesMax': `
  01-connect-575314
  `,
  'a server without the retain flag; Owsla takes it': `
  03-publish-qos1-retain-disabled 13-malformed-publish-v5
  `,
  'about bridges between mosquittos': `
  06-bridge-b2br-disconnect-qos1 06-bridge-b2br-disconnect-qos2 06-bridge-b2br-late-connection
  06-bridge-b2br-late-connection-retain 06-bridge-b2br-remapping 06-bridge-br2b-disconnect-qos1
  06-bridge-br2b-disconnect-qos2 06-bridge-br2b-remapping 06-bridge-clean-session
  06-bridge-fail-persist-resend-qos1 06-bridge-fail-persist-resend-qos2 06-bridge-no-local
  06-bridge-outgoing-retain 06-bridge-per-listener-settings 06-bridge-reconnect-local-out
  06-bridge-remap-receive-wildcard 08-ssl-bridge 08-tls-psk-bridge
  `,
  "about mosquitto's plugins and files of rights": `
  09-acl-access-variants 09-acl-change 09-acl-empty-file 09-plugin-auth-acl-pub
  09-plugin-auth-acl-sub 09-plugin-auth-defer-unpwd-fail 09-plugin-auth-msg-params
  09-plugin-auth-unpwd-fail 09-plugin-auth-v2-unpwd-fail 09-plugin-publish 09-pwfile-parse-invalid
  14-dynsec-acl 14-dynsec-anon-group 14-dynsec-auth 14-dynsec-client 14-dynsec-client-invalid
  14-dynsec-default-access 14-dynsec-disable-client 14-dynsec-group 14-dynsec-group-invalid
  14-dynsec-modify-client 14-dynsec-modify-group 14-dynsec-modify-role 14-dynsec-plugin-invalid
  14-dynsec-role 14-dynsec-role-invalid
  `,
  'an alias of 11: Owsla takes 16': `
  12-prop-topic-alias-invalid
  `,
  'authentication by AUTH, which is refused': `
  09-extended-auth-change-username 09-extended-auth-multistep 09-extended-auth-multistep-reauth
  09-extended-auth-single 09-extended-auth-single2
  `,
  'awaits an end without a word; MQTT 5 is told 0x82 first': `
  01-connect-duplicate
  `,
  'awaits no CONNACK for an empty will topic; 3.1.1 gets code 5 here': `
  07-will-null-topic
  `,
  'is a part of another test': `
  02-subpub-qos2-receive-maximum-helper 08-ssl-bridge-helper
  `,
  'is for Python 2': `
  03-publish-qos1-queued-bytes
  `,
  'its own certificates and configuration of TLS: below MQTT, test/component/tlsServer.test.ts': `
  08-ssl-connect-cert-auth 08-ssl-connect-cert-auth-crl 08-ssl-connect-cert-auth-expired
  08-ssl-connect-cert-auth-revoked 08-ssl-connect-cert-auth-without 08-ssl-connect-identity
  08-ssl-connect-no-auth 08-ssl-connect-no-auth-wrong-ca 08-ssl-connect-no-identity
  08-ssl-hup-disconnect 08-tls-psk-pub
  `,
  'its packet is longer than frameBytesMax: refused by closing, 0x95': `
  02-subscribe-long-topic 03-publish-long-topic
  `,
  "measures mosquitto's own process": `
  01-bad-initial-packets
  `,
  "needs mosquitto's configuration": `
  10-listener-mount-point 12-prop-maximum-packet-size-broker
  `,
  "needs mosquitto's file of passwords": `
  01-connect-allow-anonymous 01-connect-uname-no-password-denied 01-connect-uname-or-anon
  01-connect-uname-password-denied 01-connect-uname-password-denied-no-will
  `,
  'publishes to $...: refused by closing, 0x90': `
  03-publish-dollar 03-publish-dollar-v5
  `,
  'retained messages': `
  02-subpub-qos0-retain-as-publish 02-subpub-qos0-send-retain 02-subpub-qos1-message-expiry-retain
  04-retain-check-source 04-retain-check-source-persist 04-retain-check-source-persist-diff-port
  04-retain-qos0 04-retain-qos0-clear 04-retain-qos0-fresh 04-retain-qos0-repeated
  04-retain-qos1-qos0 04-retain-upgrade-outgoing-qos
  `,
  'subscribes to what another client publishes: devices do not hear each other': `
  01-connect-disconnect-v5 02-shared-qos0-v5 02-subhier-crash 02-subpub-qos0
  02-subpub-qos0-long-topic 02-subpub-qos0-oversize-payload 02-subpub-qos0-queued-bytes
  02-subpub-qos0-subscription-id 02-subpub-qos0-topic-alias 02-subpub-qos1
  02-subpub-qos1-bad-pubcomp 02-subpub-qos1-bad-pubrec 02-subpub-qos1-message-expiry
  02-subpub-qos1-message-expiry-will 02-subpub-qos1-nolocal 02-subpub-qos1-oversize-payload
  02-subpub-recover-subscriptions 02-subscribe-dollar-v5 02-subscribe-persistence-flipflop
  02-subscribe-qos0 02-subscribe-qos1 03-pattern-matching 03-publish-b2c-disconnect-qos1
  03-publish-b2c-qos1-len 03-publish-qos1-max-inflight-expire 07-will-delay
  07-will-delay-reconnect 07-will-delay-recover 07-will-delay-session-expiry
  07-will-delay-session-expiry2 07-will-disconnect-with-will 07-will-null 07-will-oversize-payload
  07-will-properties 07-will-qos0 07-will-reconnect-1273 07-will-takeover 11-message-expiry
  11-persistent-subscription 11-persistent-subscription-no-local 11-persistent-subscription-v5
  11-pub-props 11-subscription-id 12-prop-maximum-packet-size-publish
  12-prop-maximum-packet-size-publish-qos1 12-prop-response-topic
  12-prop-response-topic-correlation-data 12-prop-subpub-content-type
  12-prop-subpub-payload-format
  `,
  'wants 0x81 for a packet identifier of 0, where Owsla says 0x82, as for a PUBLISH': `
  13-malformed-subscribe-v5 13-malformed-unsubscribe-v5
  `,
  'wants a client id to be made up: refused, 2 or 0x85': `
  01-connect-invalid-id-0 01-connect-zero-length-id 12-prop-assigned-client-identifier
  `,
};
