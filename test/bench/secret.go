package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/test/measure"
)

// requests is how many requests are sent through one connection, one after the other.
const requests = 200

// secret compares requests of 1 KiB, with answers as long, that get the value of a secret
// on their way with such that don't: from a box, and between a client and a server that
// have nothing else to do.
func (b *bench) secret(ctx context.Context) error {
	const key = "the-value-of-this-secret"
	server, ca, err := secretServer(key)
	if err != nil {
		return err
	}
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		return err
	}
	image, err := networkImage(ctx)
	if err != nil {
		return err
	}
	spec := boxlite.BoxSpec{Image: image, Network: boxlite.Network{AllowHost: []int{port}, CACerts: []string{ca}}}
	direct, stop, err := b.networkBox(ctx, b.home, spec)
	if err != nil {
		return err
	}
	defer stop()
	host := protocol.HostAlias + ":" + address.Port()
	spec.Secrets = []boxlite.Secret{{Name: "KEY", Value: key, Hosts: []string{host}}}
	looked, stopLooked, err := b.networkBox(ctx, b.home, spec)
	if err != nil {
		return err
	}
	defer stopLooked()
	with, without, err := measure.InTurn(min(b.runs, networkRuns),
		func() (time.Duration, error) { return ask(ctx, looked, "https://"+host, "<BOXLITE_SECRET:KEY>") },
		func() (time.Duration, error) { return ask(ctx, direct, "https://"+host, key) })
	if err != nil {
		return err
	}
	ratio := float64(with) / float64(without)
	measure.Row("request of 1 KiB with a secret, from a box", ms(with), fmt.Sprintf("without %s: %.2f ×", ms(without), ratio), "≤ 2 ×", ratio <= 2)

	proxied, err := goBench(ctx, "./internal/network/proxy", "Proxy", "ns/op", b.runs)
	if err != nil {
		return err
	}
	plain, err := goBench(ctx, "./internal/network/proxy", "Direct", "ns/op", b.runs)
	if err != nil {
		return err
	}
	measure.Row("the same, of the proxy alone", fmt.Sprintf("%.0f µs", proxied/1e3), fmt.Sprintf("client and server alone %.0f µs: %.2f ×", plain/1e3, proxied/plain), "-", true)
	return nil
}

// secretServer answers requests that have the key, and no others. Its certificate is for
// the host as boxes name it.
func secretServer(key string) (server *httptest.Server, ca string, err error) {
	answer := strings.Repeat("y", 1<<10)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.Header.Get("X-Key") != key {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	certificate, err := certificateFor(protocol.HostAlias)
	if err != nil {
		return nil, "", err
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	return server, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})), nil
}

// ask sends requests with curl, and returns the median of how long one took.
func ask(ctx context.Context, box *boxlite.Box, base, key string) (time.Duration, error) {
	out, err := box.Command("curl", "-sS", "--fail", "--http1.1", "-H", "X-Key: "+key, "-d", strings.Repeat("x", 1<<10),
		"-o", "/dev/null", "-w", "%{time_total}\n", fmt.Sprintf("%s/[1-%d]", base, requests)).CombinedOutput(ctx)
	if err != nil {
		return 0, fmt.Errorf("curl: %w: %.300s", err, out)
	}
	var took []time.Duration
	for line := range strings.Lines(string(out)) {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			return 0, fmt.Errorf("curl wrote %.100q", line)
		}
		took = append(took, time.Duration(seconds*float64(time.Second)))
	}
	if len(took) != requests {
		return 0, fmt.Errorf("curl told of %d requests", len(took))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// certificateFor makes a certificate that has signed itself.
func certificateFor(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
