// Package wire owns the sockets under github.com/jlaffaye/ftp: the control
// connection, the data connections, their deadlines and what is said on them.
//
// To the library a Control looks like a server that gives exactly one reply
// to each command (Control.DialFunc). Below that, one goroutine reads whole
// replies, and before each command nothing may have come unasked: a stray
// reply breaks the session instead of being taken for the next answer. Under
// this condition, and only between two calls of the library, the session may
// use the same connection for commands of its own (Command, Pipeline), and
// for transfers that the library does not know (Raw).
//
// A Control belongs to one goroutine at a time, which brackets what it does
// with Begin. Only Err, Fail and Close may be called from any goroutine.
// Errors are *conn.Error: NotExecuted if no whole command was written,
// Unknown else. After one of them the Control is broken for good.
package wire
