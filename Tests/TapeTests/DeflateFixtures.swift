import Foundation

/// Streams made by zlib 1.3, each with the CRC-32 of what it holds.
enum DeflateFixtures {
    /// 60 rows of ticks, as a formula, so that the streams can be checked byte for byte.
    static let rows: [UInt8] = {
        var text = "ts_ms,price,qty\n"
        for i in 0..<60 {
            let cents = 4_200_000 + i * 7919 % 1000
            let thousandths = i * 31 % 97
            text += "\(1_704_067_200_000 + i * 137),\(cents / 100).\(cents % 100 < 10 ? "0" : "")\(cents % 100),0.\(thousandths < 10 ? "00" : thousandths < 100 ? "0" : "")\(thousandths)\n"
        }
        return Array(text.utf8)
    }()

    /// Letters as often as Fibonacci numbers: codes up to 14 bits long.
    static let skewed: [UInt8] = {
        var all: [UInt8] = []
        var (a, b) = (1, 1)
        for letter in 0..<15 {
            all += [UInt8](repeating: UInt8(65 + letter), count: a)
            (a, b) = (b, a + b)
        }
        return all
    }()

    static let run = [UInt8](repeating: 97, count: 70_000) + (0..<3000).flatMap { _ in [UInt8(98), 99] }

    static func bytes(_ text: String) -> [UInt8] { Array(Data(base64Encoded: text) ?? Data()) }

    static let dynamicStream = bytes(
        "TdQ5it1gEATg3GcZRO/LaRwYBw4M3hLf3lKrf1wv0BsoRgVfz9Sf35+///748evbl68fP//8/cRJRpFCz+fDnu/r/uF5EISsOWFf3E+oDKGkTViX1hOGQGjM" +
        "E+bl+YStELrVhHFlPKEkhFE+oV/tT+gFYYlsyPaE1RC294R2qc5roZOpY0K9XOa1BqHcv/CEciXPax1CzVeIrx4hhk52yg1phBz4OMzWVkaogI+zeG1thBg7" +
        "m2ttY4Qs/odC7mtbI5TAJ9yyIY0QQ6eo9MLLCBmcTCxibW2EEvgkSNc2RoiwM43WtkZI4WRSmWvbIxTAp8S2IY8QQaey89rqCCmcTKVqbX2EAvjUxNc2R6iB" +
        "Tz1kbXuEFE6m0b0hj1AAn5bG2uoINfBpp66tj5BA5/3fQGubI+TAZ2K5tjVCBXymZRvSCAl0mgsvvIyQA5+F19raCBXwWbavbYwQY2errG2NkMHJ/D7gGYwR" +
        "KuBzoVh4GSGGTlfTtbURMjjZPQm0tjFCCXwenGcwRoixM93OYIyQwcm8ms9gjFACX9x/nGcwRoigMzj8DMYIKZwslOQMxggF8IVpn8EYIcJOz9iQR0jhZJGs" +
        "a6sjFMB37yKtrY9QA1905RmMERI4WbLYGYx3qYEvJc5S07vUwJfaZ6nlXWroTNez1PYuNfDl/TiD8S418GVRn8F4lxo7285S07vUwFdUZ6nlXWr99A8=")
    static let dynamicSum: UInt32 = 1226392645

    static let fixedStream = bytes(
        "KymOzy3WKSjKTE7VKSyp5DI0NzAxMDM3MgABHRMQrQdkgAgDJElDY3OwpKWeoSVI0tgQSdLI3AQsaaFnbAGSNDNCkjQxNARLmuuZmoMkLY2RJE1NLMCSZnrm" +
        "ZiBJI3MkSTMLU7CkqZ6lKUjS1AJJ0sLICCppaAKStLBEkrQ0tQRLmugZG4ONRbLT0MDSDCxprGdqBDbWBEnSCKgBJGmkZ24INtYUSdLYHBJChnqW4BAyRLLT" +
        "0NTAHCppAA4hU6TgMzQzMYGGrRE4hCyQgs/Q3MIQGrYm4BAyRLbT0tACGrZm4BAyMUNIGhmYmkLD1gIcQuZIwWdkaGkElTQAh5Ahkp1GxkaW0IA3AoeQCVKU" +
        "GZmYmUHD1gQcQuZIwWdkZmAMDVszcAgZINtpbmIADVsLcAgZI0WZkYW5OTRsLcEhZIYUfMYGhiZQSUNwCBkg2WlsaGoIDVtjcAgZI0WZsZGFBTRsTcEhZIYU" +
        "fMYmRqbQsDUHh5AlUvAZm5oZQcPWEhxCxkhRZmxmaQmVNASHkBlS8BlbGJtBw9YYHEKWSMFnbGluDA1bU3AIGSHZCcwNBtCwNQeHkClS8JkYmZhDw9YCHEIW" +
        "SMFnYmxhApU0AIeQEZKdJqZGhtCANwKHkClS8JmYmVpAw9YEHEIWSMFnYm5pCg1bM3AIGSLbaWlsBA1bC3AImSBFmSkwAmEFBjiELJCCz9TIwAwa8EbgEDJE" +
        "stPU2MQYGrYm4BAyQYoyYJFgAA1bM3AImSMFn6mZoTmswACHkCGyneamJrACAxxCJkhRZmphaQgrMMAhZI4UfGbAxAkrMMAhZIBkp5mhmSmswACHkDFSlJkZ" +
        "GxjBCgxwCJkhBZ+ZibElrMAAh5ABsp2m5mZQSUNwCBkjRZmZuaExNGyNwSFkhhR8wHLRABq2puAQskQKPjNLC3NYgQEOISOkKDM3NDKBFRiQkhop+MyNzGAl" +
        "tQGkpEYKPnNjS1hJbQQpqZHsNDc1hpXUJpCSGin4zIEErMCAlNRIwWduYWAJKzAgJTWynZYmsJLaAFJSIwWfhYEFrKQ2gpTUxlwA")
    static let fixedSum: UInt32 = 1226392645

    static let storedStream = bytes(
        "AVoApf90c19tcyxwcmljZSxxdHkKMTcwNDA2NzIwMDAwMCw0MjAwMC4wMCwwLjAwMAoxNzA0MDY3MjAwMTM3LDQyMDA5LjE5LDAuMDMxCjE3MDQwNjcyMDAy" +
        "NzQsNDI=")
    static let storedSum: UInt32 = 3223413572

    static let skewStream = bytes(
        "BcGBQQRBDAOx2oD/u93Enum/G6Sf37+/z+fz/X6/3+d5nud5nvd93/d93/d93/ecc84555xzzjnnnHPOvffee++9995777333nvvvffee++9MzMzMzMzMzMz" +
        "MzMzMzMzMzMzMzMzMzMzMzMzs7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7u7SZIkSZIkSZIkSZIkSZIkSZIkSZIkSZIkSZIk" +
        "SZIkSZIkSZIkSZIkSZIkSZIkSZIkSZIkSZIkbdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2" +
        "bdu2bdu2bdu2bdu2bdu2bdu2bdu2bdu2BQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEBVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV" +
        "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV" +
        "Vf8B")
    static let skewSum: UInt32 = 237366656

    static let runStream = bytes(
        "7cExAQAACAOgrNP+HRZCTyABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAL7Nqqqq" +
        "qqqq1wU=")
    static let runSum: UInt32 = 3565311708
}
