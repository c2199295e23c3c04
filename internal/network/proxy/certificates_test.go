package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// issuer is an authority of servers.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// sign makes a certificate that the issuer signs, or that signs itself if there is none.
func (i *issuer) sign(t *testing.T, template *x509.Certificate) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if i == nil {
		i = &issuer{cert: template, key: key}
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert: cert, key: key}
}

func TestCertificatesOfServersMustBeValid(t *testing.T) {
	now := time.Now()
	authority := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	}
	server := func(name string, from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to), DNSNames: []string{name}}
	}
	var none *issuer
	trusted, other := none.sign(t, authority()), none.sign(t, authority())
	roots := x509.NewCertPool()
	roots.AddCert(trusted.cert)
	for name, c := range map[string]struct {
		cert *issuer
		want string
	}{
		"good":          {trusted.sign(t, server("example.com", -time.Hour, time.Hour)), ""},
		"expired":       {trusted.sign(t, server("example.com", -2*time.Hour, -time.Hour)), "it has expired or is not valid yet"},
		"not valid yet": {trusted.sign(t, server("example.com", time.Hour, 2*time.Hour)), "it has expired or is not valid yet"},
		"another name":  {trusted.sign(t, server("other.example", -time.Hour, time.Hour)), "it is for another name"},
		"by another":    {other.sign(t, server("example.com", -time.Hour, time.Hour)), "no authority that is trusted has signed it"},
		"by itself":     {none.sign(t, server("example.com", -time.Hour, time.Hour)), "no authority that is trusted has signed it"},
		// Names in what a server presents are its own words, in which a value may be.
		"the value as name": {trusted.sign(t, server(value, -time.Hour, time.Hour)), "it is for another name"},
	} {
		for _, isHTTP2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/HTTP2=%t", name, isHTTP2), func(t *testing.T) {
				g := &got{}
				w := newWorld(t, g.handler, "example.com")
				w.proxy.roots = roots
				w.useCertificate(c.cert)
				r := request(t, "POST", "https://example.com/"+placeholder, strings.NewReader(placeholder))
				r.Header.Set("Authorization", placeholder)
				res, body := w.do(isHTTP2, r)
				if c.want == "" {
					if res.StatusCode != 200 || g.body != value {
						t.Errorf("%s %q, the server got %q", res.Status, body, g.body)
					}
					return
				}
				want := "boxlite: request to example.com failed: its certificate is not valid: " + c.want + "\n"
				if res.StatusCode != 502 || body != want {
					t.Errorf("%s %q", res.Status, body)
				}
				if g.request != nil {
					t.Error("the server got the request")
				}
				if answer := fmt.Sprint(res.Header, body); strings.Contains(answer, value) {
					t.Errorf("the value is in the answer %q", answer)
				}
			})
		}
	}
}

// useCertificate puts another server in the place of the world's, with a certificate.
func (w *world) useCertificate(cert *issuer) {
	server := httptest.NewUnstartedServer(w.server.Config.Handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.cert.Raw}, PrivateKey: cert.key}}}
	server.StartTLS()
	w.t.Cleanup(server.Close)
	w.addr = server.Listener.Addr().String()
}
