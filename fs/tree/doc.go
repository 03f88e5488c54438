// Package tree is the one coherent view of the remote tree: names and
// attributes. It is the only place where a listing is read, filled or changed.
//
// What it shows is the server's listing, at most Options.TTL old, with two
// corrections. Our own changes are applied to the cached listing as soon as
// the server has confirmed them, and a listing that was under way then is not
// kept. Files whose last version has not reached the server are laid over the
// listing (Show, Hide), so that their size and time are ours and they do not
// vanish when a directory is listed again.
//
// Paths are absolute server paths. No lock is held across a call to the
// server; Tree.mu is never held while one of cache.Listings is.
package tree
