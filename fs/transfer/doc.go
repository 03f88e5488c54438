// Package transfer moves bytes between the server and the local copies of
// cache: downloads that fill a copy ahead of its readers, and uploads of what
// was written. It knows no FUSE.
//
// A File is one remote file that is open or has something to upload; all its
// Handles share one copy. Content is fetched when it is read. What was written
// is sealed in the journal and sent with STOR when a handle that wrote is
// flushed (close(2)) or synced; whatever a close could not report is told once
// by the next open, fsync or close of the path, and kept in Status.
//
// # Locking
//
// The order is File.turn, then Manager.mu, then File.mu; the locks of cache
// and of tree come after them. File.turn is a semaphore, not a mutex: it is
// held for as long as an upload, a rename or a removal of the file takes, and
// is waited for under a context. No mutex is held across a call to the server,
// and neither Manager.mu nor File.mu across one to the disk that waits for it
// to be safe.
package transfer
