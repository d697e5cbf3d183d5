//! Mutual TLS with certificates that `openssl` makes, against `mosquitto`.
//! Where one of the two is not installed these tests say so and pass.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{
    KINDS, RunningBroker, Witness, closed_port, hayes, installed, mosquitto_with, temporary,
};

/// A directory with an authority, a server's and a client's certificate.
struct Certificates(PathBuf);

impl Certificates {
    fn make() -> Option<Self> {
        installed("openssl")?;
        let made = Self(temporary("certificates"));
        fs::create_dir(&made.0).expect("a directory");
        for authority in ["ca", "other"] {
            made.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ));
        }
        fs::write(made.0.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1")
            .expect("a file");
        for who in ["server", "client"] {
            made.openssl(&format!(
                "req -newkey rsa:2048 -nodes -subj /CN={who} -keyout {who}.key -out {who}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                 -extfile names -out {who}.pem"
            ));
        }
        Some(made)
    }

    fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        command.args(args.split_whitespace()).current_dir(&self.0);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("openssl").success(), "openssl {args}");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A broker with a plain port, and the port on which it asks for a client's
/// certificate.
fn broker(certificates: &Certificates) -> Option<(RunningBroker, String)> {
    let secure = closed_port();
    let [ca, cert, key] =
        ["ca.pem", "server.pem", "server.key"].map(|name| certificates.path(name));
    // It drops its privileges and must still read them.
    for file in [&cert, &key, &ca] {
        let mut permissions = fs::metadata(file).expect("a file").permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        fs::set_permissions(Path::new(file), permissions).expect("a file");
    }
    let lines = format!(
        "listener {secure} 127.0.0.1\ncafile {ca}\ncertfile {cert}\nkeyfile {key}\n\
         require_certificate true\n"
    );
    Some((mosquitto_with(&lines)?, secure))
}

#[test]
fn both_sides_prove_who_they_are_or_nothing_is_sent() {
    let Some(certificates) = Certificates::make() else {
        return eprintln!("openssl is not installed");
    };
    let Some((broker, secure)) = broker(&certificates) else {
        return eprintln!("mosquitto is not installed");
    };
    let path = |name: &str| certificates.path(name);
    let (ca, other, cert, key) =
        (path("ca.pem"), path("other.pem"), path("client.pem"), path("client.key"));
    for kind in &KINDS {
        let modem = kind.on_pty(&[]);
        let witness = Witness::subscribed(&broker, "secure");
        let send = |text: &str, files: &[&str]| {
            let mut args = vec!["pub", "--modem", kind.name, "--device", &modem.device];
            args.extend(["-h", "localhost", "-p", &secure, "-t", "secure", "-q", "1", "-m", text]);
            args.extend(files);
            hayes(args)
        };
        // Twice: the second time the files are there.
        for text in ["first", "second"] {
            send(text, &["--cafile", &ca, "--cert", &cert, "--key", &key]).ok();
            assert_eq!(witness.message().payload, text, "{}", kind.name);
        }
        send("no certificate", &["--cafile", &ca]).failed();
        send("wrong authority", &["--cafile", &other, "--cert", &cert, "--key", &key]).failed();
        send("third", &["--cafile", &ca, "--cert", &cert, "--key", &key]).ok();
        assert_eq!(witness.message().payload, "third", "{}", kind.name);
    }
}
