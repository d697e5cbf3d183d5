//! For each operation, the commands: in the order of the manuals, with the
//! longest times that they give (A300; A109 where it gives more). The manuals'
//! short names are those of `lines.rs`.

use hayes::{
    at::{
        command::{Arg, Scope},
        script::{
            Answer,
            On::{Cme, Code, Error, Ok, Plain, Silence},
            Program, Rule, Step,
            Then::{Fail, Finish, Flush, Goto, Next, Poll, Restarted, Retry},
        },
    },
    line,
    mqtt::SimState,
};

use crate::{
    AuthOrder,
    modem::{Access, Features, Service, Simcom},
};

pub(crate) const RESYNC: u8 = 0;
pub(crate) const SYNC: u8 = 1;
pub(crate) const SYNC_WAIT: u8 = 2;
pub(crate) const SYNC_FOUND: u8 = 3;
pub(crate) const BRING_UP: u8 = 4;
pub(crate) const SIM: u8 = 5;
pub(crate) const REGISTER: u8 = 6;
pub(crate) const BEARER: u8 = 7;
pub(crate) const CONNECT: u8 = 8;
pub(crate) const RELEASE: u8 = 9;
pub(crate) const ACQUIRE: u8 = 10;
pub(crate) const PUBLISH: u8 = 11;
pub(crate) const SUBSCRIBE: u8 = 12;
pub(crate) const UNSUBSCRIBE: u8 = 13;
pub(crate) const DISCONNECT: u8 = 14;
pub(crate) const STATUS: u8 = 15;
pub(crate) const STORE: u8 = 16;
pub(crate) const DELETE: u8 = 17;
const SECURE: u8 = 18;
const OPEN: u8 = 19;
const ACCESS: u8 = 20;

pub(crate) const PROGRAM: &Program<Simcom> = hayes::program!(
    Simcom,
    [
        RESYNC_STEPS,
        SYNC_STEPS,
        SYNC_WAIT_STEPS,
        SYNC_FOUND_STEPS,
        BRING_UP_STEPS,
        SIM_STEPS,
        REGISTER_STEPS,
        BEARER_STEPS,
        CONNECT_STEPS,
        RELEASE_STEPS,
        ACQUIRE_STEPS,
        PUBLISH_STEPS,
        SUBSCRIBE_STEPS,
        UNSUBSCRIBE_STEPS,
        DISCONNECT_STEPS,
        STATUS_STEPS,
        STORE_STEPS,
        DELETE_STEPS,
        SECURE_STEPS,
        OPEN_STEPS,
        ACCESS_STEPS,
    ]
);

const fn step(line: &'static [u8], seconds: u8) -> Step<Simcom> {
    Step::new(line, seconds)
}

const IGNORE: &[Rule] = &[Rule(Error, Next)];

// ---- finding the modem ---------------------------------------------------

/// After an answer that is still owed: a question whose answer cannot be taken
/// for another. Another mode than the one set below means a restart.
const RESYNC_STEPS: &[Step<Simcom>] = &[step(line!("AT+CMEE?"), 2)
    .marked()
    .info(Simcom::cmee)
    .on(FULL_SYNC)
    .then(|modem, _| if modem.numeric_errors { Finish } else { Restarted })];

const FULL_SYNC: &[Rule] = &[Rule(Silence, Goto(SYNC)), Rule(Error, Goto(SYNC))];

/// Three questions without an answer: the modem boots, or a data phase from
/// before a restart of this host swallows them.
const SYNC_STEPS: &[Step<Simcom>] = &[
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

const SYNC_WAIT_STEPS: &[Step<Simcom>] = &[step(line!("AT"), 1).on(&[
    Rule(Ok, Goto(SYNC_FOUND)),
    Rule(Error, Goto(SYNC_FOUND)),
    Rule(Silence, Retry { pause_ms: 0, tries: 250 }),
])];

const SYNC_FOUND_STEPS: &[Step<Simcom>] = &[
    step(line!("ATE0"), 3).on(AGAIN),
    step(line!("AT+CMEE=1"), 3).on(AGAIN),
    step(line!("AT+CMEE?"), 3).marked().info(Simcom::cmee).on(AGAIN),
];

/// A boot swallows commands (seen on A7670E).
const AGAIN: &[Rule] = &[
    Rule(Silence, Retry { pause_ms: 0, tries: 5 }),
    Rule(Error, Retry { pause_ms: 500, tries: 5 }),
];

// ---- bring-up --------------------------------------------------------------

const BRING_UP_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CGMM"), 9).info(Simcom::model).on(IGNORE),
    step(line!("AT+CGMR"), 9).info(Simcom::firmware).on(IGNORE),
    step(line!("AT+CGDCONT?"), 9)
        .info(Simcom::context)
        .on(&[Rule(Error, Goto(SIM)), Rule(Ok, Goto(SIM))]),
];

/// Busy and failure are normal in the first seconds (seen on SIM7600G, A7670,
/// A7608; as words and as 10, 13, 14, 313).
const SIM_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CPIN?"), 9)
        .info(Simcom::cpin)
        .on(&[
            Rule(Cme(10), Retry { pause_ms: 1_000, tries: 10 }),
            Rule(Error, Retry { pause_ms: 150, tries: 200 }),
        ])
        .then(|modem, _| match modem.sim {
            SimState::Ready => Goto(ACCESS),
            SimState::Pin if modem.has_pin => Next,
            _ => Fail,
        }),
    // A wrong PIN is not tried again: three of them lock the SIM.
    step(line!("AT+CPIN=\"{pin}\""), 15).on(&[Rule(Ok, Goto(SIM))]).then(|modem, _| {
        modem.has_pin = false;
        Fail
    }),
];

/// The context is written only if it differs; the bearer of LTE comes up with
/// the attachment, so a new one needs another attachment.
const ACCESS_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CGDCONT=1,\"IP\",\"{apn}\""), 9).when(Simcom::differs),
    step(line!("AT+CGAUTH=1,{apn.auth},\"{apn.user}\",\"{apn.password}\""), 9)
        .when(|modem, scope| modem.authenticates(scope, AuthOrder::UserFirst)),
    step(line!("AT+CGAUTH=1,{apn.auth},\"{apn.password}\",\"{apn.user}\""), 9)
        .when(|modem, scope| modem.authenticates(scope, AuthOrder::PasswordFirst)),
    step(line!("AT+CFUN=4"), 15).when(Simcom::differs).on(IGNORE),
    step(line!("AT+CFUN=1"), 15).when(Simcom::differs).on(IGNORE).then(|modem, _| {
        modem.access = Access::Written;
        Goto(SIM)
    }),
    Step::jump(&[Rule(Ok, Goto(REGISTER))]),
];

const REGISTER_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CREG?"), 9).info(Simcom::registration).on(IGNORE),
    step(line!("AT+CGREG?"), 9).info(Simcom::registration).on(IGNORE),
    step(line!("AT+CEREG?"), 9).info(Simcom::registration).on(&[]).then(
        |modem, answer| match answer {
            Answer::Silence => Fail,
            _ if modem.registrations.is_registered() => Goto(BEARER),
            _ => Poll { script: REGISTER, pause_ms: 150 },
        },
    ),
];

/// START activates a context by itself (M18 1.2), so a refusal here is not the
/// end (seen on A7670E: refused, then NETOPEN succeeded).
const BEARER_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CGACT?"), 9).info(Simcom::active).on(IGNORE),
    step(line!("AT+CGACT=1,1"), 150).when(|modem, _| !modem.bearer).on(IGNORE),
    step(line!("AT+CGPADDR"), 9).info(|modem, line| modem.report.address(line)).on(IGNORE),
];

// ---- connect -------------------------------------------------------------------

/// What an earlier life of this host left behind is torn down first.
const CONNECT_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CGMM"), 9).info(Simcom::model).on(IGNORE).when(|modem, _| !modem.named),
    step(line!("AT+CMQTTDISC?"), 9)
        .info(Simcom::leftover)
        .when(|modem, _| modem.service == Service::Unknown)
        .then(Simcom::asked),
    step(line!("AT+CMQTTDISC={session},60"), 130)
        .when(|modem, scope| modem.may_be_connected(scope.session))
        .on(IGNORE),
    step(line!("AT+CMQTTREL={session}"), 120)
        .when(|modem, scope| modem.may_be_acquired(scope.session))
        .on(IGNORE)
        .then(Simcom::released),
    step(line!("AT+CMQTTSTOP"), 120).when(|modem, _| modem.service == Service::Broken).on(IGNORE),
    // 23: it runs already. So may a plain ERROR (A109, A767; SIM7670G): then
    // ACCQ tells.
    step(line!("AT+CMQTTSTART"), 130)
        .when(|modem, _| modem.service != Service::Started)
        .on(&[Rule(Code(23), Next), Rule(Plain, Next)])
        .then(Simcom::started),
    step(line!("AT+CMQTTACCQ=?"), 9).info(Simcom::acquire_limits).on(IGNORE).when(unprobed),
    step(line!("AT+CMQTTCONNECT=?"), 9).info(Simcom::connect_limits).on(IGNORE).when(unprobed),
    step(line!("AT+CMQTTTOPIC=?"), 9).info(Simcom::topic_limits).on(IGNORE).when(unprobed),
    step(line!("AT+CMQTTPAYLOAD=?"), 9).info(Simcom::payload_limits).on(IGNORE).when(unprobed),
    step(line!("AT+CMQTTCFG=?"), 9).info(Simcom::config_keys).on(IGNORE).when(unprobed),
    step(line!("AT+CMQTTSUBTOPIC=?"), 9).when(unprobed).then(|modem, answer| {
        modem.features.set(Features::TWO_STEP, answer == Answer::Ok);
        modem.features.insert(Features::PROBED);
        Next
    }),
    Step::jump(&[Rule(Ok, Goto(ACQUIRE))]),
];

fn unprobed(modem: &Simcom, _: &Scope<'_>) -> bool {
    !modem.features.contains(Features::PROBED)
}

const RELEASE_STEPS: &[Step<Simcom>] = &[step(line!("AT+CMQTTREL={session}"), 120)
    .on(&[Rule(Ok, Goto(ACQUIRE)), Rule(Error, Goto(ACQUIRE))])];

const ACQUIRE_STEPS: &[Step<Simcom>] = &[
    // 19: acquired by an earlier life; release it, once.
    step(line!("AT+CMQTTACCQ={session},\"{client_id}\",{tls}[2|,4]"), 9).then(Simcom::acquired),
    step(line!("AT+CMQTTCFG=\"version\",{session},4"), 9)
        .when(|modem, _| modem.features.contains(Features::CONFIG_VERSION))
        .on(IGNORE),
    step(line!("AT+CMQTTCFG=\"checkUTF8\",{session},0"), 9).then(|modem, answer| {
        modem.features.set(Features::BINARY, answer == Answer::Ok);
        if answer == Answer::Silence { Fail } else { Next }
    }),
    Step::jump(&[Rule(Ok, Goto(SECURE))]).when(with_tls),
    Step::jump(&[Rule(Ok, Goto(OPEN))]),
];

const SECURE_STEPS: &[Step<Simcom>] = if_tls(&[
    // 3 TLS 1.2, 4 all (A300 10.2.12).
    step(line!("AT+CSSLCFG=\"sslversion\",{1},3"), 120)
        .when(|_, scope| !scope.has(Arg::AnyVersion)),
    step(line!("AT+CSSLCFG=\"sslversion\",{1},4"), 120).when(|_, scope| scope.has(Arg::AnyVersion)),
    step(line!("AT+CSSLCFG=\"authmode\",{1},{3}"), 120),
    step(line!("AT+CSSLCFG=\"ignorelocaltime\",{1},1"), 120)
        .when(|_, scope| !scope.has(Arg::CheckClock)),
    step(line!("AT+CSSLCFG=\"ignorelocaltime\",{1},0"), 120)
        .when(|_, scope| scope.has(Arg::CheckClock)),
    step(line!("AT+CSSLCFG=\"negotiatetime\",{1},120"), 120),
    step(line!("AT+CSSLCFG=\"cacert\",{1},\"{ca}\""), 120).when(|_, scope| scope.has(Arg::Ca)),
    step(line!("AT+CSSLCFG=\"clientcert\",{1},\"{cert}\""), 120)
        .when(|_, scope| scope.has(Arg::Cert)),
    step(line!("AT+CSSLCFG=\"clientkey\",{1},\"{key}\""), 120).when(|_, scope| scope.has(Arg::Key)),
    step(line!("AT+CSSLCFG=\"enableSNI\",{1},1"), 120).when(|_, scope| scope.has(Arg::Sni)),
    step(line!("AT+CMQTTSSLCFG={session},{1}"), 9),
    Step::jump(&[Rule(Ok, Goto(OPEN))]),
]);

const OPEN_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CMQTTWILLTOPIC={session},{will.topic.len}"), 9)
        .data(Arg::WillTopic)
        .when(|_, scope| scope.has(Arg::WillTopic)),
    step(line!("AT+CMQTTWILLMSG={session},{will.payload.len},{will.qos}"), 9)
        .data(Arg::WillPayload)
        .when(|_, scope| scope.has(Arg::WillTopic)),
    step(CONNECT_LINE, 130).then(|_, answer| match answer {
        Answer::Ok => Finish,
        _ => Fail,
    }),
];

/// `tcp://` even for TLS, which ACCQ chooses (M18 3.9).
pub(crate) const CONNECT_LINE: &[u8] = line!(
    "AT+CMQTTCONNECT={session},\"tcp://{host}:{port}\",{keep_alive},{clean}[user|,\"{user}\"][password|,\"{password}\"]"
);

fn with_tls(_: &Simcom, scope: &Scope<'_>) -> bool {
    scope.has(Arg::Tls)
}

/// Steps that nothing leads to without TLS.
const fn if_tls(steps: &'static [Step<Simcom>]) -> &'static [Step<Simcom>] {
    if cfg!(feature = "tls") { steps } else { &[] }
}

// ---- publish, subscribe ------------------------------------------------------------

/// 14: an operation that nobody waits for any more still runs.
const BUSY: &[Rule] = &[Rule(Code(14), Retry { pause_ms: 500, tries: 20 })];

const PUBLISH_STEPS: &[Step<Simcom>] = &[
    // Nothing documented takes back a payload that was entered.
    Step::jump(&[Rule(Ok, Fail)])
        .when(|modem, scope| modem.payload_left && !scope.has(Arg::PayloadLen)),
    step(line!("AT+CMQTTTOPIC={session},{topic.len}"), 9).data(Arg::Topic).on(BUSY),
    // A length of 0 cannot be declared: no PAYLOAD, empty message (M18 3.5).
    step(line!("AT+CMQTTPAYLOAD={session},{payload.len}"), 9)
        .data(Arg::Payload)
        .when(|_, scope| scope.has(Arg::PayloadLen))
        .then(Simcom::entered),
    step(PUBLISH_LINE, 130),
];

pub(crate) const PUBLISH_LINE: &[u8] = line!("AT+CMQTTPUB={session},{qos},{0}[retain|,{retain}]");

const SUBSCRIBE_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CMQTTSUBTOPIC={session},{filter.len},{filter.qos}"), 9)
        .data(Arg::Filter)
        .each()
        .when(|modem, scope| modem.in_two_steps(scope))
        .on(BUSY),
    step(line!("AT+CMQTTSUB={session}"), 130).when(|modem, scope| modem.in_two_steps(scope)),
    step(line!("AT+CMQTTSUB={session},{filter.len},{filter.qos}"), 130)
        .data(Arg::Filter)
        .each()
        .when(|modem, scope| !modem.in_two_steps(scope))
        .on(BUSY),
];

const UNSUBSCRIBE_STEPS: &[Step<Simcom>] =
    &[step(line!("AT+CMQTTUNSUB={session},{filter.len},0"), 130).data(Arg::Filter).each().on(BUSY)];

// ---- the rest ------------------------------------------------------------------------

const DISCONNECT_STEPS: &[Step<Simcom>] = &[
    step(line!("AT+CMQTTDISC={session},60"), 130).on(IGNORE),
    step(line!("AT+CMQTTREL={session}"), 120).on(IGNORE).then(Simcom::released),
    step(line!("AT+CMQTTSTOP"), 120)
        .when(|modem, _| !modem.is_any_acquired())
        .then(Simcom::stopped),
];

const STATUS_STEPS: &[Step<Simcom>] = if_status(&[
    step(line!("AT+CGMM"), 9).info(Simcom::model).on(IGNORE),
    step(line!("AT+CGMR"), 9).info(Simcom::firmware).on(IGNORE),
    step(line!("AT+CPIN?"), 9).info(Simcom::cpin).on(IGNORE),
    step(line!("AT+CREG?"), 9).info(Simcom::registration).on(IGNORE),
    step(line!("AT+CGREG?"), 9).info(Simcom::registration).on(IGNORE),
    step(line!("AT+CEREG?"), 9).info(Simcom::registration).on(IGNORE),
    step(line!("AT+CSQ"), 9).info(|modem, line| modem.report.signal(line)).on(IGNORE),
    step(line!("AT+CGPADDR"), 9).info(|modem, line| modem.report.address(line)).on(IGNORE),
    // An error means that the service is not started.
    step(line!("AT+CMQTTDISC?"), 9).info(Simcom::leftover).on(IGNORE),
]);

/// Steps of an operation that is refused without the feature.
const fn if_status(steps: &'static [Step<Simcom>]) -> &'static [Step<Simcom>] {
    if cfg!(feature = "status") { steps } else { &[] }
}

/// The file's name is made from its content, so a name that is there is the
/// same content. A109: at most 3,072 bytes at once, with a pause.
const STORE_STEPS: &[Step<Simcom>] = if_tls(&[
    step(line!("AT+CCERTLIST"), 9)
        .info(Simcom::certificate)
        .when(|_, scope| scope.has(Arg::FileLen)),
    step(line!("AT+CCERTDOWN=\"{file}\",{file.len}"), 30)
        .data(Arg::FileContent)
        .slices(3_072)
        .when(|modem, scope| scope.has(Arg::FileLen) && !modem.has_file())
        .then(Simcom::stored),
]);

const DELETE_STEPS: &[Step<Simcom>] = if_tls(&[step(line!("AT+CCERTDELE=\"{file}\""), 9)]);
