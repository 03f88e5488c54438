// Package conn is the server as the rest of ftpfs sees it: URL and Config, the
// Session interface with its Entry, Listing and Version, what a reply means
// (ReplyError), and the Pool of sessions. It knows nothing of what is above
// it, and the protocols are below it, in conn/ftp.
//
// # The retry rule
//
// An error that is not a refusal by the server leaves its session broken; the
// pool closes it and never hands it out again. What failed so is done a second
// time, once and on a session that was opened afresh, only if it cannot have
// run twice: because the command was never executed (NotExecuted), or because
// running it twice gives what running it once gives (Repeatable: listings,
// stats, downloads, chmod and times). A rename, a removal
// or a mkdir whose reply was lost is never repeated: the caller looks at what
// became of it.
package conn
