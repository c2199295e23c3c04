// Package proxy stands between a guest and the servers whose requests are looked into:
// HTTP/1.1, HTTP/2 and WebSockets, in clear text or in TLS.
//
// # Trust
//
// Each box has an authority of its own, whose key is in this process's memory only. The
// guest trusts it, so a destination that is looked into has a certificate of it towards
// the guest. The server's certificate is verified here, always, with the name that the
// guest asked for.
//
// # Requests
//
// Each request is judged by its own host, which must be the one the TLS connection was
// made for. What is refused gets 403, a name that is not the connection's 421, and what
// the server does not answer 502: with a reason, in plain text.
//
// # Secrets
//
// A guest has placeholders. In requests to a secret's hosts they become its value: in
// headers, in the user and password of basic authentication, in the URL, in the body, in
// trailers, and in the messages of a WebSocket. What the hosts answer is searched for the
// value, which becomes the placeholder again. This keeps a value from where it should not
// be by accident; a server that will encrypt a value, or tell it letter by letter, for a
// guest that asks for it, is not one to send secrets to.
package proxy
