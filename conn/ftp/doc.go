// Package ftp is conn.Session over FTP, on github.com/jlaffaye/ftp.
//
// The library logs in, opens data connections and runs transfers; every other
// command goes out raw, on the library's own control connection between its
// calls (see conn/wire), because the replies matter to the letter: their code
// and text decide what an error means. Listings come raw through the
// library's RETR and are parsed here.
//
// What a server cannot do is learned from its FEAT reply and from its
// refusals, and kept for all sessions of one Dialer (server). A refusal that
// does not say why is looked into by probes (probe.go); a probe only ever
// makes an error more exact.
//
// An error whose outcome is not conn.Refused leaves the session broken.
package ftp
