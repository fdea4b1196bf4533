//! Messages that are meant to cost much, for tests and benches.

/// How long a message of each shape is, in bytes: as long as the daemon takes by default.
pub const BYTES: usize = 64 * 1024;

/// A kind of message: what it begins with, what is repeated in it, and how it ends.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    start: &'static str,
    unit: &'static str,
    end: &'static str,
}

impl Shape {
    /// In a few words.
    pub fn name(&self) -> String {
        let shorten = |text: &str| match text.char_indices().nth(40) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        let start = self.start.strip_prefix(PUBLISH).unwrap_or(self.start);
        let [start, unit, end] = [start, self.unit, self.end].map(shorten);
        format!("{start}({unit})*{end}").replace(|c: char| c.is_control(), "␤")
    }

    /// The message, of [`BYTES`] bytes or nearly so.
    pub fn message(&self) -> Vec<u8> {
        self.message_of(BYTES)
    }

    /// The message, of `bytes` bytes or nearly so.
    pub fn message_of(&self, bytes: usize) -> Vec<u8> {
        let room = bytes.saturating_sub(self.start.len() + self.end.len());
        let units = self.unit.repeat(room / self.unit.len());
        [self.start, &units, self.end].concat().into_bytes()
    }
}

const PUBLISH: &str = r#"{"type":"publish","channel":"c","data":"#;

macro_rules! publish {
    ($start:literal) => {
        concat!(r#"{"type":"publish","channel":"c","data":"#, $start)
    };
}

/// What is repeated between the brackets of an array, with its comma.
const ITEMS: &[&str] = &[
    // Numbers, and those at the edge of a double's range.
    "1,",
    "11,",
    "111,",
    "1111111,",
    "11111111,",
    "-1,",
    "0.5,",
    "1e5,",
    "1e-5,",
    "-1.5e-7,",
    "0e0,",
    "1e99,",
    "1e307,",
    "1e308,",
    "-1e308,",
    "17e307,",
    "179e306,",
    "0.01e310,",
    "-0.01e310,",
    "0e3083,",
    "0.0e3083,",
    "179769313e300,",
    "1.7976931348623157e308,",
    "17900000000000000636e289,",
    "0.00000001e300,",
    "0.00000001e316,",
    "1e0000000000000000000,",
    "1e-9999999999999999999,",
    "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497791,",
    "0.179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497791e309,",
    // Strings.
    r#""","#,
    r#""a","#,
    r#""abcdefg","#,
    r#""abcdefgh","#,
    r#""abcdefghijklmno","#,
    r#""abcdefghijklmnopq","#,
    r#""abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw","#,
    r#""\n","#,
    r#""a\n","#,
    r#""\naaaa","#,
    r#""\nabcde","#,
    r#""\u0041","#,
    "\"é\",",
    // Brackets.
    "[],",
    "{},",
    "[[]],",
    "[1],",
    "[[[[]]]],",
    r#"{"":1},"#,
    r#"{"":{}},"#,
    r#"{"":[]},"#,
    r#"{"a":1,"b":2},"#,
    r#"{"abcdefgh":1},"#,
    r#"{"\n":1},"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],",
    "[{},[{},[{},[{},[{},[{},[{},[{}]]]]]]]],",
    // Literals.
    "true,",
    "false,",
    "null,",
    // White space.
    " 1 , ",
    "1 ,",
    "1\t\t,",
    "1\n\t\t,",
    "\n\t\t1\n\t\t,",
    "[\n\t],",
    "[ ] , ",
    "{ \"\" : 1 } , ",
    "\n   1,",
    "\n\t \r1,",
    " \t \n \r \t \n \r \t \n1,",
    "                                      1,",
];

/// What is repeated inside one string.
const TEXTS: &[&str] = &[
    "a",
    "é",
    "日",
    "💩",
    r"\n",
    r"\na",
    r"\naa",
    r"\naaa",
    r"\naaaa",
    r"\naaaaa",
    r"\naaaaaaaa",
    r"\naaaaaaaaaaaaaaaa",
    r"\u0041",
    r"\u0041a",
    r"\ud83d\udca9",
    r"é\n",
];

/// What is repeated as members of the request itself.
const MEMBERS: &[&str] = &[
    r#""":1,"#,
    r#""a":1,"#,
    r#""a":[],"#,
    r#""a":1e308,"#,
    r#""a":[1],"#,
    r#""a\n":1,"#,
    r#""a\n" :1,"#,
    r#""a\naaaa":1,"#,
    r#""a\n":[1],"#,
    r#""a":0.01e310,"#,
    r#""ie":1,"#,
    r#""i\u0065":1,"#,
    r#""a\n":1e0308,"#,
    r#""a\n":179e306,"#,
    r#""a\u0061":1,"#,
    r#""a\u0061":179e306,"#,
    "\"a\":[\n\t],",
    "\"é\":179e306,",
    r#""id":1,"#,
    r#""id":11,"#,
    r#""id":179e306,"#,
    "\"id\"\n:1,",
    "\"id\"\n:1e308,",
    "\"a\"\n:1,",
    "\"a\"\n:1e308,",
    "\"a\\n\"\n:1e308,",
    r#""id":"a\n","#,
    r#""type":"","#,
    r#""since":{},"#,
    r#""since":{"seq":1},"#,
    r#""since":{"":{}},"#,
    r#""token":"\n","#,
    r#""pattern":"\n","#,
    r#""encoding":"text","#,
    r#""encoding":1,"#,
    r#""encodings":1,"#,
    r#""encodinf":1,"#,
    r#""encodinf" :1,"#,
    r#""encodin\u0067":1,"#,
    r#""\u0065ncoding":1,"#,
    r#""\u0065\u006e\u0063\u006f\u0064\u0069\u006e\u0067":1,"#,
    r#""encoding\u0067":1,"#,
    r#""encoding":"base64","data":"\/AAA","#,
    r#""key":"\n","#,
    r#""key":1,"#,
    r#""kex":1,"#,
    r#""\n":1,"#,
    r#""\u0074ype":1,"#,
    r#""reconnect_after_m\u0073":1,"#,
    r#" "a" : 1 , "#,
];

/// What is repeated inside a payload in base64.
const BASE64: &[&str] = &[
    "A",
    "AAAA",
    "AA==",
    "=",
    "é",
    r"\/",
    r"\/A",
    r"\/AA",
    r"\/AAA",
    r"\/AAAAAAA",
    r"\/AAAAAAAAAAAAAAA",
    r"\u0041",
    r"\u0041A",
    r"\u003d",
    r"\n",
];

/// What is repeated as members of `since`.
const SINCE: &[&str] = &[
    r#""":1,"#,
    r#""a":[1],"#,
    r#""a\u0061":1,"#,
    r#""seq":1,"#,
    r#""\u0073eq":179e306,"#,
    "\"é\":179e306,",
];

/// What has a shape of its own, and what is refused only at its end.
const OTHERS: &[Shape] = &[
    Shape {
        start: "[",
        unit: "1,",
        end: "1]",
    },
    Shape {
        start: "[",
        unit: "[],",
        end: "1]",
    },
    Shape {
        start: r#"{"type":"ping","id":""#,
        unit: r"\n",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"ping","id":1"#,
        unit: "1",
        end: "}",
    },
    Shape {
        start: r#"{"type":""#,
        unit: r"\n",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":""#,
        unit: r"\n",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":""#,
        unit: "a.",
        end: r#"b"}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":""#,
        unit: "é",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","pattern":""#,
        unit: "*.",
        end: r#">"}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","pattern":""#,
        unit: r"\u00e9",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"publish","channel":"c","data":1,"encoding":""#,
        unit: r"\n",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"publish","channel":"c","data":1,"key":""#,
        unit: r"\n",
        end: r#""}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":"c","since":{"seq":1,"epoch":""#,
        unit: r"\n",
        end: r#""}}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":"c","since":{"seq":1,"epoch":""#,
        unit: r"\u00e9",
        end: r#""}}"#,
    },
    Shape {
        start: r#"{"type":"subscribe","channel":"c","since":["#,
        unit: "[],",
        end: "1]}",
    },
    Shape {
        start: r#"{""#,
        unit: r"\n",
        end: r#"":1}"#,
    },
    Shape {
        start: "",
        unit: " ",
        end: "",
    },
    Shape {
        start: "",
        unit: " ",
        end: r#"{"type":"ping"}"#,
    },
    Shape {
        start: publish!("["),
        unit: "1,",
        end: "hello",
    },
    Shape {
        start: publish!("["),
        unit: "1,",
        end: "]}",
    },
    Shape {
        start: publish!("\""),
        unit: "a",
        end: "",
    },
    Shape {
        start: publish!("\""),
        unit: "é",
        end: "",
    },
    Shape {
        start: publish!("\""),
        unit: r"\n",
        end: "",
    },
    Shape {
        start: publish!("\""),
        unit: r"\n",
        end: r#"\ud800"}"#,
    },
    Shape {
        start: publish!(""),
        unit: "x",
        end: "",
    },
    Shape {
        start: publish!("'"),
        unit: "x",
        end: "",
    },
    Shape {
        start: publish!("["),
        unit: "1",
        end: "]}",
    },
    Shape {
        start: publish!("[0."),
        unit: "0",
        end: "1e99999]}",
    },
    Shape {
        start: publish!("[1"),
        unit: "0",
        end: "e-65000]}",
    },
    Shape {
        start: publish!("[1e"),
        unit: "0",
        end: "1]}",
    },
    Shape {
        start: publish!("[1e"),
        unit: "9",
        end: "]}",
    },
    Shape {
        start: publish!("1."),
        unit: "1",
        end: "}",
    },
];

/// All shapes that are known to be worth a look.
pub fn shapes() -> Vec<Shape> {
    let items = ITEMS.iter().map(|unit| Shape {
        start: publish!("["),
        unit,
        end: "1]}",
    });
    let texts = TEXTS.iter().map(|unit| Shape {
        start: publish!("\""),
        unit,
        end: "\"}",
    });
    let members = MEMBERS.iter().map(|unit| Shape {
        start: "{",
        unit,
        end: r#""type":"ping"}"#,
    });
    let base64 = BASE64.iter().map(|unit| Shape {
        start: r#"{"type":"publish","channel":"c","encoding":"base64","data":""#,
        unit,
        end: r#"AAAA"}"#,
    });
    let since = SINCE.iter().map(|unit| Shape {
        start: r#"{"type":"subscribe","channel":"c","since":{"#,
        unit,
        end: r#""seq":1}}"#,
    });
    items
        .chain(texts)
        .chain(base64)
        .chain(since)
        .chain(members)
        .chain(OTHERS.iter().copied())
        .collect()
}
