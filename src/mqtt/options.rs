//! How to get a bearer and how to connect to a broker.

use core::fmt;

use super::{ClientId, Field, FieldError, Problem, QoS, Topic, check_filled, check_text};

/// The longest text of a field that no modem limits further down, in bytes.
const LONGEST: usize = 65_535;

/// How the access point authenticates its users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthType {
    /// Not at all.
    #[default]
    None,
    /// PAP.
    Pap,
    /// CHAP.
    Chap,
}

/// What is needed to get a bearer. The default is what most public SIMs need:
/// nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Network<'a> {
    pub(crate) pin: Option<&'a str>,
    pub(crate) apn: Option<&'a str>,
    pub(crate) auth: AuthType,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
}

impl<'a> Network<'a> {
    /// No PIN, and the access point that the network chooses.
    #[must_use]
    pub const fn new() -> Self {
        Self { pin: None, apn: None, auth: AuthType::None, user: None, password: None }
    }

    /// The PIN of the SIM: 4 to 8 digits.
    ///
    /// # Errors
    /// [`FieldError`] if it is anything else.
    pub const fn pin(mut self, pin: &'a str) -> Result<Self, FieldError> {
        let mut rest = pin.as_bytes();
        let mut ok = rest.len() >= 4 && rest.len() <= 8;
        while let [byte, tail @ ..] = rest {
            ok = ok && byte.is_ascii_digit();
            rest = tail;
        }
        if !ok {
            return Err(FieldError { field: Field::Pin, problem: Problem::Malformed });
        }
        self.pin = Some(pin);
        Ok(self)
    }

    /// The access point name. Where the modem has another, a bring-up writes it
    /// and attaches anew, which may be told as
    /// [`NetworkLost`](super::Event::NetworkLost).
    ///
    /// # Errors
    /// [`FieldError`] if it is empty, longer than 100 bytes or has a byte that
    /// could leave its field.
    pub const fn apn(mut self, apn: &'a str) -> Result<Self, FieldError> {
        if let Err(error) = check_filled(Field::Apn, apn, 100) {
            return Err(error);
        }
        self.apn = Some(apn);
        Ok(self)
    }

    /// User and password for the access point.
    ///
    /// # Errors
    /// [`FieldError`] if one is longer than 127 bytes or has a byte that could
    /// leave its field.
    pub const fn credentials(
        mut self,
        auth: AuthType,
        user: &'a str,
        password: &'a str,
    ) -> Result<Self, FieldError> {
        if let Err(error) = check_text(Field::ApnUser, user, 127) {
            return Err(error);
        }
        if let Err(error) = check_text(Field::ApnPassword, password, 127) {
            return Err(error);
        }
        self.auth = auth;
        self.user = Some(user);
        self.password = Some(password);
        Ok(self)
    }
}

impl fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("apn", &self.apn).field("auth", &self.auth).finish()
    }
}

/// What the broker publishes when the client goes away without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: Topic<'a>,
    /// What.
    pub payload: &'a [u8],
    /// How surely; 0 unless set.
    pub qos: QoS,
    /// Whether the broker shall keep it; false unless set.
    pub retain: bool,
}

impl<'a> Will<'a> {
    /// A will with QoS 0, not retained.
    ///
    /// # Errors
    /// As [`Topic::new`].
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Result<Self, FieldError> {
        match Topic::for_field(Field::WillTopic, topic) {
            Ok(topic) => Ok(Self { topic, payload, qos: QoS::AtMostOnce, retain: false }),
            Err(error) => Err(error),
        }
    }

    /// Sets the quality of service.
    #[must_use]
    pub const fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Sets the retain flag.
    #[must_use]
    pub const fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }
}

/// A certificate or a key in PEM, to be stored on the modem.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A file that is on the modem already, by its name there.
    Stored(&'a str),
    /// Its content, from the first byte to the last. The driver stores it
    /// under a name made from the content, so that it is written only when it
    /// is missing or has changed.
    Pem(&'a [u8]),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(name) => f.debug_tuple("Stored").field(name).finish(),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
        }
    }
}

/// Whether the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// It must be signed by the authority given.
    #[default]
    Server,
    /// Not at all: anybody can be the server.
    Nothing,
}

/// The version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// What both sides can do, SSL 3.0 included on some modems.
    Any,
}

/// How to secure the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tls<'a> {
    pub(crate) verify: Verify,
    pub(crate) ca: Option<Credential<'a>>,
    pub(crate) cert: Option<Credential<'a>>,
    pub(crate) key: Option<Credential<'a>>,
    pub(crate) version: TlsVersion,
    pub(crate) server_name: bool,
    pub(crate) check_clock: bool,
}

impl<'a> Tls<'a> {
    /// TLS 1.2, with server name indication, the server's certificate checked
    /// against `ca`, its dates not.
    #[must_use]
    pub const fn with_ca(ca: Credential<'a>) -> Self {
        Self {
            verify: Verify::Server,
            ca: Some(ca),
            cert: None,
            key: None,
            version: TlsVersion::Tls12,
            server_name: true,
            check_clock: false,
        }
    }

    /// TLS whose server may be anybody. For tests.
    #[must_use]
    pub const fn insecure() -> Self {
        Self {
            verify: Verify::Nothing,
            ca: None,
            cert: None,
            key: None,
            version: TlsVersion::Tls12,
            server_name: true,
            check_clock: false,
        }
    }

    /// The client's own certificate and key.
    #[must_use]
    pub const fn client(mut self, cert: Credential<'a>, key: Credential<'a>) -> Self {
        self.cert = Some(cert);
        self.key = Some(key);
        self
    }

    /// Sets the version.
    #[must_use]
    pub const fn version(mut self, version: TlsVersion) -> Self {
        self.version = version;
        self
    }

    /// Whether the server is told which name it is called by (SNI); true
    /// unless set.
    #[must_use]
    pub const fn server_name(mut self, yes: bool) -> Self {
        self.server_name = yes;
        self
    }

    /// Whether the dates of certificates are checked against the modem's
    /// clock, which must be right then; false unless set.
    #[must_use]
    pub const fn check_clock(mut self, yes: bool) -> Self {
        self.check_clock = yes;
        self
    }
}

/// How to connect to a broker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectOptions<'a> {
    pub(crate) host: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    /// The port of the broker.
    pub port: u16,
    /// Who connects.
    pub client_id: ClientId<'a>,
    /// The keep-alive interval in seconds; 60 unless set.
    pub keep_alive: u16,
    /// Whether the broker forgets the session when it ends; true unless set.
    pub clean_session: bool,
    /// The last will.
    pub will: Option<Will<'a>>,
    /// How the connection is secured; not at all unless set.
    pub tls: Option<Tls<'a>>,
}

impl<'a> ConnectOptions<'a> {
    /// A clean session without TLS, will or credentials; keep-alive 60 s.
    ///
    /// # Errors
    /// [`FieldError`] if the host is empty or has a blank, a colon, a comma, a
    /// slash or a backslash, or if a field has a byte that could leave it.
    pub const fn new(host: &'a str, port: u16, client_id: &'a str) -> Result<Self, FieldError> {
        if let Err(error) = check_host(host) {
            return Err(error);
        }
        let client_id = match ClientId::new(client_id) {
            Ok(id) => id,
            Err(error) => return Err(error),
        };
        Ok(Self {
            host,
            port,
            client_id,
            keep_alive: 60,
            clean_session: true,
            user: None,
            password: None,
            will: None,
            tls: None,
        })
    }

    /// The host of the broker.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// The user name.
    #[must_use]
    pub const fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The password.
    #[must_use]
    pub const fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// Sets the keep-alive interval in seconds.
    #[must_use]
    pub const fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Sets whether the broker forgets the session when it ends.
    #[must_use]
    pub const fn clean_session(mut self, clean: bool) -> Self {
        self.clean_session = clean;
        self
    }

    /// User name and, if there is one, password.
    ///
    /// # Errors
    /// [`FieldError`] if one has a byte that could leave its field, or the
    /// user name is empty.
    pub const fn credentials(
        mut self,
        user: &'a str,
        password: Option<&'a str>,
    ) -> Result<Self, FieldError> {
        if let Err(error) = check_filled(Field::User, user, LONGEST) {
            return Err(error);
        }
        if let Some(password) = password {
            if let Err(error) = check_text(Field::Password, password, LONGEST) {
                return Err(error);
            }
        }
        self.user = Some(user);
        self.password = password;
        Ok(self)
    }

    /// Sets the last will.
    #[must_use]
    pub const fn last_will(mut self, will: Will<'a>) -> Self {
        self.will = Some(will);
        self
    }

    /// Secures the connection.
    #[must_use]
    pub const fn tls(mut self, tls: Tls<'a>) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl fmt::Debug for ConnectOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id.as_str())
            .field("keep_alive", &self.keep_alive)
            .field("clean_session", &self.clean_session)
            .field("user", &self.user)
            .field("password", &self.password.map(|_| "***"))
            .field("will", &self.will)
            .field("tls", &self.tls)
            .finish()
    }
}

/// A host goes between `//` and `:` on some wires.
const fn check_host(host: &str) -> Result<(), FieldError> {
    if let Err(error) = check_filled(Field::Host, host, LONGEST) {
        return Err(error);
    }
    let mut rest = host.as_bytes();
    while let [byte, tail @ ..] = rest {
        if matches!(*byte, b' ' | b':' | b'/' | b',' | b'\\') {
            return Err(FieldError::forbidden(Field::Host, *byte));
        }
        rest = tail;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_appear_in_debug() {
        let options = ConnectOptions::new("broker.example", 8883, "device-7").unwrap();
        let options = options.credentials("u", Some("s3cret")).unwrap();
        let options = options
            .tls(Tls::insecure().client(Credential::Pem(b"crt"), Credential::Pem(b"s3cret")));
        let network = Network::new().pin("4711").unwrap();
        let network = network.credentials(AuthType::Pap, "u", "s3cret").unwrap();
        let network = network.apn("iot.example").unwrap();
        let shown = std::format!("{options:?} {network:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("4711"), "{shown}");
        for known in ["broker.example", "8883", "device-7", "Pem(6 bytes)", "iot.example"] {
            assert!(shown.contains(known), "{known}: {shown}");
        }
    }

    #[test]
    fn a_backend_reads_what_the_caller_said() {
        let options = ConnectOptions::new("broker.example", 1883, "id").unwrap();
        assert_eq!((options.user(), options.password()), (None, None));
        let options = options.credentials("u", Some("p")).unwrap();
        assert_eq!(options.host(), "broker.example");
        assert_eq!((options.user(), options.password()), (Some("u"), Some("p")));
    }

    #[test]
    fn a_host_cannot_leave_its_url() {
        for host in ["", "a b", "a:1", "a/b", "a\"", "a\r", "tcp://a", "a,b"] {
            let error = ConnectOptions::new(host, 1883, "id").unwrap_err();
            assert_eq!(error.field, Field::Host, "{host}");
        }
    }

    #[test]
    fn a_pin_is_four_to_eight_digits() {
        for pin in ["", "123", "123456789", "12a4", "12\r4"] {
            assert_eq!(Network::new().pin(pin).unwrap_err().field, Field::Pin, "{pin}");
        }
        assert!(Network::new().pin("1234").is_ok());
    }
}
