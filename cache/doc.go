// Package cache owns what is kept on this machine of a remote tree: Listings
// of directories in memory, and a Store of file contents on disk with the
// journal of what must still reach the server. It is passive: it knows
// neither the network nor FUSE, decides nothing about when to load, upload or
// retry, and starts no goroutine but the one that runs a load for those who
// wait in Listings.Load.
//
// # On disk
//
//	ROOT/                          of all servers
//	  IDENTITY/                    16 hexadecimal digits of the SHA-256 of the identity
//	    identity                   the identity as text
//	    server.json                what conn has found out about the server
//	    recovery/                  bytes that could not reach the server, each with a .json
//	    mounts/MOUNT/              of one mount; MOUNT is 8 hexadecimal digits
//	      lock                     flocked while a process has the folder
//	      owner                    who that is, as JSON
//	      journal                  see journal.go
//	      copies/NUMBER            one sparse file per Copy or sealed version
//
// A folder that nobody has locked is what a dead mount left; Adopt takes it over.
// Folders in mounts/ whose name starts with a dot are being made or removed.
//
// # What survives
//
// A version that was sealed survives the death of the process; one that was
// synced survives a power cut. A clean copy that is whole survives both, as far as
// the time allows to make it durable, and serves the next mount (keep.go). Which of the two happened is told by the boot
// id in the journal. Changes that were never sealed are never uploaded: what
// is found of them goes to the recovery folder.
//
// # Locking
//
// The order is Copy.mu, Store.mu, data.mu, journal.syncMu; Listings.mu and
// Dir.mu (in this order) never meet them. Store.mu is held for appending to the
// journal and, once in a while, for writing it anew, never for moving the
// bytes of files; Copy.mu and data.mu are held for reading and writing bytes of that file.
// No lock is held while a caller's function runs, except for the one given to Listings.Change.
// Copy.Size and Copy.Generation take none.
package cache
