package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// backdated is how far a guest's clock may be behind.
	backdated = 24 * time.Hour
	// A certificate of the authority is made anew when it is about to end.
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	leafRest      = 30 * 24 * time.Hour
	// maxLeaves is how many are kept.
	maxLeaves = 1000
)

// authority signs certificates for the names that are looked into. Its key, and the one
// that all its certificates are for, are never written down.
type authority struct {
	pem  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	leaf *ecdsa.PrivateKey
	now  func() time.Time

	making singleflight.Group
	mu     sync.Mutex
	leaves map[string]leaf
	order  []string // the oldest first
}

// leaf is a certificate, in the configuration for connections that use it: tickets for
// resumption belong to that.
type leaf struct {
	config *tls.Config
	end    time.Time
}

func newAuthority(now func() time.Time) (*authority, error) {
	a := &authority{now: now, leaves: make(map[string]leaf)}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.leaf, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "BoxLite authority of this box", Organization: []string{"BoxLite"}},
		NotBefore: now().Add(-backdated), NotAfter: now().Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a, nil
}

// config returns what a server of a canonical name needs.
func (a *authority) config(name string) (*tls.Config, error) {
	a.mu.Lock()
	l, ok := a.leaves[name]
	a.mu.Unlock()
	if ok && a.now().Before(l.end.Add(-leafRest)) {
		return l.config, nil
	}
	made, err, _ := a.making.Do(name, func() (any, error) { return a.make(name) })
	if err != nil {
		return nil, err
	}
	return made.(*tls.Config), nil
}

// make makes a certificate, and keeps it.
func (a *authority) make(name string) (*tls.Config, error) {
	end := a.now().Add(leafLife)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	template := &x509.Certificate{
		NotBefore: a.now().Add(-backdated), NotAfter: end, DNSNames: []string{name},
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(name) <= 64 { // RFC 5280 allows no more there
		template.Subject.CommonName = name
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.leaf}},
		NextProtos:   []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.leaves[name]; !ok {
		if len(a.order) >= maxLeaves {
			delete(a.leaves, a.order[0])
			a.order = a.order[1:]
		}
		a.order = append(a.order, name)
	}
	a.leaves[name] = leaf{config, end}
	return config, nil
}
