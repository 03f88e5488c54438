package doctor_test

import (
	"os"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/doctor"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
)

// A healthy server is found healthy, and nothing is left on it.
func TestExamine(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	srv := ftptest.Start(t, ftptest.WithTLS(cert, nil))
	cfg, err := conn.ParseURL(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLS = conn.TLS{Mode: conn.TLSExplicit, CA: cert.PEM}
	found := examine(t, cfg)
	for what, result := range map[string]string{
		"encryption": "TLS 1.3", "listings": "MLSD", "writing": "yes", "renaming over a file": "yes", "TLS 1.2": "yes", "TLS 1.3": "yes",
		"adding to a file (APPE)": "yes", "permissions (SITE CHMOD)": "yes", "times (MFMT, MDTM)": "yes", "removing": "yes",
		"active data connection": "yes", "sessions": "at least 3", "download": "MiB/s", "4 downloads": "MiB/s together",
	} {
		if f, ok := found[what]; !ok || !strings.Contains(f.Result, result) {
			t.Errorf("%s: %+v, want %s", what, f, result)
		}
	}
	if left, err := os.ReadDir(srv.Root); err != nil || len(left) > 0 {
		t.Errorf("left on the server: %v, %v", left, err)
	}
	srv.WaitSessions(0)
}

// What a server lacks is found, with advice.
func TestExamineSick(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(ftptest.Refuse("SITE", 500, "not understood"))
	srv.Fault(ftptest.Refuse("EPRT", 500, "not understood"))
	srv.Fault(ftptest.Refuse("PORT", 500, "not understood"))
	srv.Fault(ftptest.NoMLSD())
	srv.Fault(ftptest.TooManyAtConnect(2))
	cfg, err := conn.ParseURL(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	found := examine(t, cfg)
	for _, what := range []string{"encryption", "listings", "permissions (SITE CHMOD)", "active data connection", "sessions"} {
		if f := found[what]; f.Advice == "" {
			t.Errorf("%s: no advice in %+v", what, f)
		}
	}
	if left, err := os.ReadDir(srv.Root); err != nil || len(left) > 0 {
		t.Errorf("left on the server: %v, %v", left, err)
	}
}

func examine(t *testing.T, cfg conn.Config) map[string]doctor.Finding {
	t.Helper()
	found := map[string]doctor.Finding{}
	err := doctor.Examine(t.Context(), cfg, ftp.Dialer, 3, func(f doctor.Finding) { found[f.What] = f })
	if err != nil {
		t.Fatal(err)
	}
	return found
}
