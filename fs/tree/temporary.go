package tree

import (
	"context"
	"crypto/rand"
	"strings"

	"ftpfs/conn"
)

// Uploads go to a temporary name beside their target and are renamed then.
// Such names, ours and those of other mounts, are never shown.
const (
	temporaryPrefix = ".ftpfs-"
	temporarySuffix = ".tmp"
)

// Temporary returns a name for an upload of the mount with this id.
func Temporary(mount string) string {
	return temporaryPrefix + mount + "-" + strings.ToLower(rand.Text()[:13]) + temporarySuffix
}

// IsTemporary tells whether name is one that Temporary makes.
func IsTemporary(name string) bool {
	return strings.HasPrefix(name, temporaryPrefix) && strings.HasSuffix(name, temporarySuffix)
}

// Raw returns what a listing of dir made now says of names, temporary ones
// too. Names that are not there are missing in the result.
func (t *Tree) Raw(ctx context.Context, dir string, names ...string) (map[string]conn.Entry, error) {
	d, err := t.afresh(ctx, dir)
	if err != nil {
		return nil, err
	}
	found := make(map[string]conn.Entry, len(names))
	for _, name := range names {
		if e, ok := d.Lookup(name); ok {
			found[name] = e
		}
	}
	return found, nil
}
