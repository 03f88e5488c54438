package ftp

import (
	"slices"

	"ftpfs/conn"
)

// withLinks completes a listing by MLSD that has symlinks without their
// targets, as ProFTPD and Pure-FTPd send them: LIST of the same directory has
// the targets, and the links to nothing, which ProFTPD's MLSD leaves out.
// Directories without links cost nothing more.
func (s *session) withLinks(dir string, l conn.Listing) (conn.Listing, error) {
	bare := func(e conn.Entry) bool { return e.Kind == conn.KindSymlink && e.Target == "" }
	if !slices.ContainsFunc(l.Entries, bare) {
		return l, nil
	}
	if err := s.do("CWD", dir, "CWD "+dir); err != nil {
		return conn.Listing{}, s.explain("CWD", dir, err)
	}
	long, err := s.listHere(dir)
	if err != nil {
		return conn.Listing{}, err
	}
	at := make(map[string]int, len(l.Entries))
	for i, e := range l.Entries {
		at[e.Name] = i
	}
	for _, e := range long.Entries {
		if e.Kind != conn.KindSymlink {
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
