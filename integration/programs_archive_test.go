//go:build linux

package integration

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// archivePrograms make archives in the folder and take them apart there.
func archivePrograms() []program {
	return []program{
		{name: "tar", run: tarArchives},
		{name: "unzip", run: unzipArchive},
	}
}

func tarArchives(t *testing.T, e env) string {
	src := filepath.Join(t.TempDir(), "src")
	sourceTree(t, src)
	return sh(t, e.Dir, "SRC="+src+`
tar -C $SRC --sort=name -cf all.tar .; gzip -9n < all.tar > all.tgz
mkdir x; cd x; tar -xpzf ../all.tgz; tar -df ../all.tar; diff -r $SRC .
`+attributes+`
# Over what is there, then a member that is appended to the archive, and one file of it.
tar -xpf ../all.tar; tar --unlink-first -xpzf ../all.tgz ./large; tar -df ../all.tar
cd ..; touch -d '2005-05-05 05:05:05' more; tar -rf all.tar more; tar -tf all.tar | wc -l; tar -xOf all.tar ./large | sha256sum
tar --delete -f all.tar ./large; tar -tf all.tar | sort; tar -C $SRC -uf all.tar ./large; tar -tvf all.tar ./large
mkdir y; tar -xf all.tar -C y; diff -r $SRC y || true`)
}

func unzipArchive(t *testing.T, e env) string {
	f, err := os.Create(e.path("a.zip"))
	must(t, err)
	defer f.Close()
	w := zip.NewWriter(f)
	for i, name := range []string{"readme.txt", "folder/", "folder/stored", "folder/deeper/deflated", "folder/run", "ümlaut", "empty"} {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2010+i, 2, 3, 4, 5, 6, 0, time.UTC)}
		h.SetMode(0o644)
		switch name {
		case "folder/":
			h.SetMode(os.ModeDir | 0o750)
		case "folder/run":
			h.SetMode(0o755)
		case "folder/stored":
			h.Method = zip.Store
		}
		member, err := w.CreateHeader(h)
		must(t, err)
		if name != "folder/" && name != "empty" {
			must(t, errOf(member.Write(randomBytes(uint64(i), 1+i*50_000))))
		}
	}
	must(t, w.Close())
	must(t, f.Close())
	return sh(t, e.Dir, `unzip -tq a.zip; unzip -q a.zip -d x; unzip -qo a.zip -d x; unzip -qj a.zip readme.txt folder/run
unzip -p a.zip folder/deeper/deflated | sha256sum; cd x; sha256sum $(find . -type f | sort); `+attributes)
}
