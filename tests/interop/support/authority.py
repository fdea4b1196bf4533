"""An authority that signs certificates with openssl: servers', clients', such as have ended, and lists of those that it takes back."""

import os
import subprocess

CONFIGURATION = """
[ca]
default_ca = here
[here]
database = {folder}/index
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 2
default_crl_days = 2
crlnumber = {folder}/crlnumber
crl_extensions = list
x509_extensions = one
copy_extensions = copy
policy = anything
[anything]
commonName = optional
[one]
basicConstraints = CA:FALSE
[list]
authorityKeyIdentifier = keyid
[req]
distinguished_name = none
[none]
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {done.stderr.decode(errors='replace')[-800:]}")
    return done.stdout


class Pair:
    """A certificate and its key, in files."""

    def __init__(self, folder, name):
        self.certificate = os.path.join(folder, f"{name}.pem")
        self.key = os.path.join(folder, f"{name}.key")


class Authority:
    def __init__(self, folder):
        os.mkdir(folder)
        self.folder = folder
        self.configuration = os.path.join(folder, "openssl.cnf")
        self.list = os.path.join(folder, "crl.pem")
        with open(self.configuration, "w") as file:
            file.write(CONFIGURATION.format(folder=folder))
        open(os.path.join(folder, "index"), "w").close()
        with open(os.path.join(folder, "crlnumber"), "w") as file:
            file.write("01\n")
        ca = Pair(folder, "ca")
        self.certificate = ca.certificate
        openssl("req", "-x509", *KEY, "-days", "2", "-keyout", ca.key, "-out", ca.certificate, "-subj", "/CN=authority of the checks")
        self.write_list()

    def sign(self, name, subject, *alternatives, ended=False):
        """A new key and a certificate for it with this subject (`/CN=…`) and these alternative names (`DNS:…`)."""
        pair = Pair(self.folder, name)
        request = os.path.join(self.folder, f"{name}.csr")
        names = ["-addext", "subjectAltName=" + ",".join(alternatives)] if alternatives else []
        openssl("req", "-new", *KEY, "-config", self.configuration, "-keyout", pair.key, "-out", request, "-subj", subject, *names)
        times = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"] if ended else []
        openssl("ca", "-batch", "-notext", "-config", self.configuration, "-in", request, "-out", pair.certificate, *times)
        return pair

    def revoke(self, pair):
        openssl("ca", "-config", self.configuration, "-revoke", pair.certificate)
        self.write_list()

    def write_list(self):
        openssl("ca", "-config", self.configuration, "-gencrl", "-out", self.list)
