package ftp

import (
	"slices"

	"ftpfs/conn"
)

// withLinks completes a listing by MLSD with what LIST of the same directory
// says of symlinks, where MLSD says too little. ProFTPD and Pure-FTPd do not
// name targets, and ProFTPD leaves out links to nothing; directories without
// links cost nothing more there. pyftpdlib shows what links lead to in their
// place: rm -rf would follow them. So unless MLSD is known to name links,
// each directory is listed both ways.
func (s *session) withLinks(dir string, l conn.Listing) (conn.Listing, error) {
	link := func(e conn.Entry) bool { return e.Kind == conn.KindSymlink }
	if slices.ContainsFunc(l.Entries, link) {
		s.srv.setNamesLinks()
	}
	if !slices.ContainsFunc(l.Entries, isBareLink) && s.mlsdNamesLinks() {
		return l, nil
	}
	long, err := s.listThere(dir, conn.Coming{})
	if err != nil {
		return conn.Listing{}, err
	}
	at := make(map[string]int, len(l.Entries))
	for i, e := range l.Entries {
		at[e.Name] = i
	}
	for _, e := range long.Entries {
		if !link(e) {
			continue
		}
		if i, ok := at[e.Name]; ok {
			l.Entries[i] = e
		} else {
			l.Entries = append(l.Entries, e)
		}
	}
	return l, nil
}

// isBareLink tells whether e is a symlink whose target is not known.
func isBareLink(e conn.Entry) bool { return e.Kind == conn.KindSymlink && e.Target == "" }

// mlsdNamesLinks tells whether MLSD is known to say which names are symlinks,
// or there are none.
func (s *session) mlsdNamesLinks() bool {
	return s.product.namesLinks || s.srv.namesLinks() || !s.unix
}
