//! For each operation, the commands: in the order of the vendor's guide, with
//! the longest times of the manual (V1.6.3: 9 s unless stated). For second
//! phases (`CONNECT OK`, `SUBACK`) it states none; those here are what working
//! hosts allow.

use hayes::{
    at::{
        command::{Arg, Scope},
        script::{
            Answer,
            On::{Cme, Error, Ok, Silence},
            Program, Rule, Step,
            Then::{Fail, Finish, Flush, Goto, Next, Poll, Retry},
        },
    },
    line,
    mqtt::SimState,
};

use crate::{
    CipherSuite,
    modem::{Luat, Session},
};

pub(crate) const RESYNC: u8 = 0;
pub(crate) const SYNC: u8 = 1;
const SYNC_WAIT: u8 = 2;
const SYNC_FOUND: u8 = 3;
pub(crate) const BRING_UP: u8 = 4;
const SIM: u8 = 5;
const REGISTER: u8 = 6;
const ATTACH: u8 = 7;
pub(crate) const CONNECT: u8 = 8;
pub(crate) const TEAR_DOWN: u8 = 9;
const REPAIR: u8 = 10;
const OPEN: u8 = 11;
pub(crate) const REFUSED: u8 = 12;
pub(crate) const PUBLISH: u8 = 13;
pub(crate) const SUBSCRIBE: u8 = 14;
pub(crate) const UNSUBSCRIBE: u8 = 15;
pub(crate) const DISCONNECT: u8 = 16;
pub(crate) const STATUS: u8 = 17;
pub(crate) const STORE: u8 = 18;
pub(crate) const DELETE: u8 = 19;
pub(crate) const FETCH: u8 = 20;
const SECURE: u8 = 21;
const START: u8 = 22;

pub(crate) const PROGRAM: &Program<Luat> = hayes::program!(
    Luat,
    [
        RESYNC_STEPS,
        SYNC_STEPS,
        SYNC_WAIT_STEPS,
        SYNC_FOUND_STEPS,
        BRING_UP_STEPS,
        SIM_STEPS,
        REGISTER_STEPS,
        ATTACH_STEPS,
        CONNECT_STEPS,
        TEAR_DOWN_STEPS,
        REPAIR_STEPS,
        OPEN_STEPS,
        REFUSED_STEPS,
        PUBLISH_STEPS,
        SUBSCRIBE_STEPS,
        UNSUBSCRIBE_STEPS,
        DISCONNECT_STEPS,
        STATUS_STEPS,
        STORE_STEPS,
        DELETE_STEPS,
        FETCH_STEPS,
        SECURE_STEPS,
        START_STEPS,
    ]
);

const fn step(line: &'static [u8], seconds: u8) -> Step<Luat> {
    Step::new(line, seconds)
}

const IGNORE: &[Rule] = &[Rule(Error, Next)];

/// `OK` only means accepted.
fn later(_: &Luat, _: &Scope<'_>) -> bool {
    true
}

// ---- finding the modem ---------------------------------------------------

/// After an answer that is still owed: a question whose answer cannot be taken
/// for another, and which is answered in every state.
const RESYNC_STEPS: &[Step<Luat>] = &[step(line!("AT+CSQ"), 2)
    .marked()
    .info(Luat::signal)
    .on(&[Rule(Silence, Goto(SYNC)), Rule(Error, Goto(SYNC))])];

/// Three questions without an answer: the modem boots or wakes, or a data
/// phase from before a restart of this host swallows them.
const SYNC_STEPS: &[Step<Luat>] = &[
    step(line!("AT"), 1).on(KNOCK),
    step(line!("AT"), 1).on(KNOCK),
    step(line!("AT"), 1).on(&[
        Rule(Ok, Goto(SYNC_FOUND)),
        Rule(Error, Goto(SYNC_FOUND)),
        Rule(Silence, Flush(SYNC_WAIT)),
    ]),
];

const KNOCK: &[Rule] =
    &[Rule(Ok, Goto(SYNC_FOUND)), Rule(Error, Goto(SYNC_FOUND)), Rule(Silence, Next)];

const SYNC_WAIT_STEPS: &[Step<Luat>] = &[step(line!("AT"), 1).on(&[
    Rule(Ok, Goto(SYNC_FOUND)),
    Rule(Error, Goto(SYNC_FOUND)),
    Rule(Silence, Retry { pause_ms: 0, tries: 250 }),
])];

const SYNC_FOUND_STEPS: &[Step<Luat>] = &[
    step(line!("ATE0"), 3).on(AGAIN),
    step(line!("AT+CMEE=1"), 3).on(AGAIN),
    step(line!("AT+CSQ"), 3).marked().info(Luat::signal).on(AGAIN),
];

/// A boot swallows commands (seen: an ATE0 that was never answered), and for
/// half a minute others may not be supported (reported).
const AGAIN: &[Rule] = &[
    Rule(Cme(4), Retry { pause_ms: 1_000, tries: 60 }),
    Rule(Silence, Retry { pause_ms: 0, tries: 5 }),
    Rule(Error, Retry { pause_ms: 500, tries: 5 }),
];

// ---- bring-up --------------------------------------------------------------

/// `AirM2M_780E_V1169_LTE_AT`, bare. It works before registration (seen).
const IDENTIFY: Step<Luat> =
    step(line!("ATI"), 9).info(Luat::identity).on(AGAIN).then(Luat::identified);

const BRING_UP_STEPS: &[Step<Luat>] = &[IDENTIFY, Step::jump(&[Rule(Ok, Goto(SIM))])];

/// Failure and busy are normal in the first seconds, 4 in the first half
/// minute.
const SIM_STEPS: &[Step<Luat>] = &[
    step(line!("AT+CPIN?"), 9)
        .info(Luat::cpin)
        .on(&[
            Rule(Cme(10), Retry { pause_ms: 1_000, tries: 10 }),
            Rule(Cme(4), Retry { pause_ms: 1_000, tries: 60 }),
            Rule(Error, Retry { pause_ms: 150, tries: 200 }),
        ])
        .then(|modem, _| match modem.sim {
            SimState::Ready => Goto(REGISTER),
            SimState::Pin if modem.has_pin => Next,
            _ => Fail,
        }),
    // A wrong PIN is not tried again: three of them lock the SIM.
    step(line!("AT+CPIN=\"{pin}\""), 180).on(&[Rule(Ok, Goto(SIM))]).then(|modem, _| {
        modem.has_pin = false;
        Fail
    }),
];

/// The access point is kept over restarts; setting it restarts the network
/// side, so it is set only if it differs.
const REGISTER_STEPS: &[Step<Luat>] = &[
    step(line!("AT+CPNETAPN?"), 9)
        .info(Luat::access_point)
        .on(IGNORE)
        .when(|modem, _| modem.wants_access())
        .then(Luat::compared),
    step(line!("AT+CPNETAPN=2,\"{apn}\",\"{apn.user}\",\"{apn.password}\",{apn.auth}"), 9)
        .when(|modem, _| modem.wants_access())
        .then(Luat::set_access),
    step(line!("AT+CREG?"), 9).info(Luat::registration).on(IGNORE),
    step(line!("AT+CGREG?"), 9).info(Luat::registration).on(IGNORE),
    step(line!("AT+CEREG?"), 9).info(Luat::registration).then(|modem, answer| match answer {
        Answer::Silence => Fail,
        _ if modem.registrations.is_registered() => Goto(ATTACH),
        _ => Poll { script: REGISTER, pause_ms: 150 },
    }),
];

/// 724 since V1066: 0 while the bearer is not active, so this waits for that
/// too. On later platforms the bearer comes with the attachment (manual).
const ATTACH_STEPS: &[Step<Luat>] =
    &[step(line!("AT+CGATT?"), 9).info(Luat::attachment).then(|modem, answer| match answer {
        Answer::Silence => Fail,
        _ if modem.attached => Finish,
        _ => Poll { script: ATTACH, pause_ms: 150 },
    })];

// ---- connect -------------------------------------------------------------------

const CONNECT_STEPS: &[Step<Luat>] = &[
    IDENTIFY.when(|modem, _| !modem.is_known()),
    Step::jump(&[Rule(Ok, Goto(REPAIR))]).when(|modem, _| modem.session == Session::Closed),
    Step::jump(&[Rule(Ok, Goto(TEAR_DOWN))]),
];

/// What an earlier life of this host, or a loss, left behind. These fail where
/// there is nothing to close (767; manual).
const MDISCONNECT: Step<Luat> = step(line!("AT+MDISCONNECT"), 9).on(IGNORE);
const MIPCLOSE: Step<Luat> = step(line!("AT+MIPCLOSE"), 9).then(Luat::closed);

const TEAR_DOWN_STEPS: &[Step<Luat>] =
    &[MDISCONNECT, MIPCLOSE, Step::jump(&[Rule(Ok, Goto(REPAIR))])];

/// After `+PDP DEACT` (manual), and after a detachment.
const REPAIR_STEPS: &[Step<Luat>] = &[
    step(line!("AT+CIPSHUT"), 90).when(|modem, _| modem.released).on(IGNORE),
    step(line!("AT+CFUN=0"), 45).when(|modem, _| modem.released).on(IGNORE),
    step(line!("AT+CFUN=1"), 45).when(|modem, _| modem.released).on(IGNORE).then(|modem, _| {
        modem.released = false;
        Next
    }),
    step(line!("AT+CGATT?"), 9).when(|modem, _| !modem.attached).info(Luat::attachment).then(
        |modem, answer| match answer {
            Answer::Silence => Fail,
            _ if modem.attached => Next,
            _ => Poll { script: REPAIR, pause_ms: 1_000 },
        },
    ),
    Step::jump(&[Rule(Ok, Goto(OPEN))]),
];

/// Defaults are not relied on: sources disagree about them.
const OPEN_STEPS: &[Step<Luat>] = &[
    step(line!("AT+CIPMUX=0"), 9).on(IGNORE),
    // 0: payloads as they are, not as hex digits.
    step(line!("AT+MQTTMODE=0"), 9),
    step(line!("AT+MQTTMSGSET={0}"), 9),
    Step::jump(&[Rule(Ok, Goto(SECURE))]).when(with_tls),
    Step::jump(&[Rule(Ok, Goto(START))]),
];

/// Context 88 is MQTT's. Every answer counts, so that no setting is missing
/// from a connection that was to be verified.
const SECURE_STEPS: &[Step<Luat>] = if_tls(&[
    // 3 TLS 1.2, 4 any.
    step(line!("AT+SSLCFG=\"sslversion\",88,3"), 9).when(|_, scope| !scope.has(Arg::AnyVersion)),
    step(line!("AT+SSLCFG=\"sslversion\",88,4"), 9).when(|_, scope| scope.has(Arg::AnyVersion)),
    step(line!("AT+SSLCFG=\"ciphersuite\",88,0XFFFF"), 9)
        .when(|modem, _| modem.offers(CipherSuite::All)),
    step(line!("AT+SSLCFG=\"ciphersuite\",88,0X002F"), 9)
        .when(|modem, _| modem.offers(CipherSuite::RsaAes128CbcSha)),
    step(line!("AT+SSLCFG=\"ciphersuite\",88,0X0035"), 9)
        .when(|modem, _| modem.offers(CipherSuite::RsaAes256CbcSha)),
    step(line!("AT+SSLCFG=\"ciphersuite\",88,0X003D"), 9)
        .when(|modem, _| modem.offers(CipherSuite::RsaAes256CbcSha256)),
    step(line!("AT+SSLCFG=\"cacert\",88,\"{ca}\""), 9).when(|_, scope| scope.has(Arg::Ca)),
    step(line!("AT+SSLCFG=\"clientcert\",88,\"{cert}\""), 9).when(|_, scope| scope.has(Arg::Cert)),
    step(line!("AT+SSLCFG=\"clientkey\",88,\"{key}\""), 9).when(|_, scope| scope.has(Arg::Key)),
    step(line!("AT+SSLCFG=\"seclevel\",88,{2}"), 9),
    step(line!("AT+SSLCFG=\"hostname\",88,\"{host}\""), 9).when(|_, scope| scope.has(Arg::Sni)),
    // Erases it; before V1161 there is nothing to erase.
    step(line!("AT+SSLCFG=\"hostname\",88,"), 9).when(|_, scope| !scope.has(Arg::Sni)).on(IGNORE),
    step(line!("AT+SSLCFG=\"ignorelocaltime\",88,1"), 9)
        .when(|_, scope| !scope.has(Arg::CheckClock)),
    step(line!("AT+SSLCFG=\"ignorelocaltime\",88,0"), 9)
        .when(|_, scope| scope.has(Arg::CheckClock)),
    step(line!("AT+SSLCFG=\"negotiatetimeout\",88,60"), 9),
    Step::jump(&[Rule(Ok, Goto(START))]),
]);

const START_STEPS: &[Step<Luat>] = &[
    // 765: some firmware refuses the empty user name (reported).
    step(
        line!(
            "AT+MCONFIG=\"{client_id}\",\"{user}\",\"{password}\"[will.topic|,{will.qos},{will.retain},\"{will.topic}\",\"{will.payload}\"]"
        ),
        9,
    )
    .then(Luat::configured),
    step(line!("AT+MCONFIG=\"{client_id}\""), 9).when(|modem, _| modem.refuses_empty_user),
    // Manual V1.6.7 has a third parameter, without which the heart beats every
    // 300 s at least.
    step(line!("AT+MCONNECT=?"), 9)
        .when(|modem, _| modem.beats_slowly)
        .info(Luat::connect_ranges)
        .on(IGNORE),
    step(line!("AT+MIPSTART=\"{host}\",{port}"), 39)
        .awaits(later)
        .when(|_, scope| !scope.has(Arg::Tls))
        .then(Luat::opened),
    step(line!("AT+SSLMIPSTART=\"{host}\",{port}"), 99)
        .awaits(later)
        .when(with_tls)
        .then(Luat::opened),
    // At once: brokers close a link that says nothing.
    step(line!("AT+MCONNECT={clean},{keep_alive}[3|,{1}]"), 29)
        .awaits(later)
        .then(Luat::connected),
];

/// The connection was refused or never came. The answer may still come, so
/// this begins with a question that has its own.
const REFUSED_STEPS: &[Step<Luat>] = &[
    step(line!("AT+CSQ"), 3).marked().info(Luat::signal).on(IGNORE),
    MDISCONNECT,
    MIPCLOSE,
    Step::jump(&[Rule(Ok, Fail)]),
];

fn with_tls(_: &Luat, scope: &Scope<'_>) -> bool {
    scope.has(Arg::Tls)
}

/// Steps that nothing leads to without TLS.
const fn if_tls(steps: &'static [Step<Luat>]) -> &'static [Step<Luat>] {
    if cfg!(feature = "tls") { steps } else { &[] }
}

// ---- publish, subscribe ------------------------------------------------------------

/// PUBACK or PUBCOMP comes unless QoS is 0.
fn acknowledged(_: &Luat, scope: &Scope<'_>) -> bool {
    scope.has(Arg::Qos)
}

/// A data phase has no end but its length; without one, 5 s of silence (manual
/// V1.6.3). Whether these end the other too is not documented.
const PUBLISH_STEPS: &[Step<Luat>] = &[
    step(line!("AT+MPUBEX=\"{topic}\",{qos},{retain},{payload.len}"), 24)
        .data(Arg::Payload)
        .gap(6)
        .awaits(acknowledged)
        .when(|modem, scope| modem.counts(scope)),
    step(line!("AT+MPUB=\"{topic}\",{qos},{retain},\"{payload.escaped}\""), 24)
        .awaits(acknowledged)
        .when(|modem, scope| !modem.counts(scope)),
];

/// One filter a command; no other form is documented.
const SUBSCRIBE_STEPS: &[Step<Luat>] =
    &[step(line!("AT+MSUB=\"{filter}\",{filter.qos}"), 24).each().awaits(later)];

const UNSUBSCRIBE_STEPS: &[Step<Luat>] =
    &[step(line!("AT+MUNSUB=\"{filter}\""), 24).each().awaits(later)];

/// The messages that wait in the modem, oldest first. All slots are free then.
const FETCH_STEPS: &[Step<Luat>] = &[step(line!("AT+MQTTMSGGET"), 9)];

// ---- the rest ------------------------------------------------------------------------

const DISCONNECT_STEPS: &[Step<Luat>] = &[MDISCONNECT, MIPCLOSE];

const STATUS_STEPS: &[Step<Luat>] = if_status(&[
    IDENTIFY,
    step(line!("AT+CGMM"), 9).info(Luat::model).on(IGNORE),
    step(line!("AT+CPIN?"), 9).info(Luat::cpin).on(&[Rule(Ok, Next)]).then(Luat::no_sim),
    step(line!("AT+CREG?"), 9).info(Luat::registration).on(IGNORE),
    step(line!("AT+CGREG?"), 9).info(Luat::registration).on(IGNORE),
    step(line!("AT+CEREG?"), 9).info(Luat::registration).on(IGNORE),
    step(line!("AT+CGATT?"), 9).info(Luat::attachment).on(IGNORE),
    step(line!("AT+CSQ"), 9).info(Luat::signal).on(IGNORE),
    step(line!("AT+CGPADDR"), 9).info(Luat::address).on(IGNORE),
    step(line!("AT+CCLK?"), 9).info(Luat::clock).on(IGNORE),
    // ERROR before the first connection (reported).
    step(line!("AT+MQTTSTATU"), 9).info(Luat::state).on(IGNORE),
    step(line!("AT+MQTTMSGGET?"), 9).info(Luat::slot).on(IGNORE).when(|modem, _| modem.fetches()),
    step(line!("AT+MQTTMSGGET"), 9).on(IGNORE).when(|modem, _| modem.has_messages),
]);

/// Steps of an operation that is refused without the feature.
const fn if_status(steps: &'static [Step<Luat>]) -> &'static [Step<Luat>] {
    if cfg!(feature = "status") { steps } else { &[] }
}

/// The file's name is made from its content, so one that is there in its full
/// size is the same content. A file that is missing is answered by 62 or 100.
const STORE_STEPS: &[Step<Luat>] = if_tls(&[
    step(line!("AT+FSFLSIZE=\"{file}\""), 9)
        .info(Luat::file_size)
        .on(IGNORE)
        .when(|_, scope| scope.has(Arg::FileLen)),
    step(line!("AT+FSDEL=\"{file}\""), 9).on(IGNORE).when(|modem, _| modem.has_other_file()),
    step(line!("AT+FSCREATE=\"{file}\""), 9).on(IGNORE).when(|modem, _| modem.misses_file()),
    // Ends by itself with `TimeOut` after these 20 s: what is missing then is
    // missing in its size.
    step(line!("AT+FSWRITE=\"{file}\",{file.append},{file.piece.len},20"), 29)
        .data(Arg::FilePiece)
        .each()
        .gap(25)
        .when(|modem, _| modem.misses_file()),
    step(line!("AT+FSFLSIZE=\"{file}\""), 9)
        .info(Luat::file_size)
        .when(|modem, _| modem.misses_file())
        .then(Luat::stored),
]);

const DELETE_STEPS: &[Step<Luat>] = if_tls(&[step(line!("AT+FSDEL=\"{file}\""), 9)]);
